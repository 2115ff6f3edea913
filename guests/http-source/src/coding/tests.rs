use connector_sdk::ErrorKind;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const CODINGS: [&str; 5] = ["gzip", "deflate", "raw deflate", "br", "zstd"];

fn encode(coding: &str, text: &[u8]) -> Vec<u8> {
    let fine = "writing to memory does not fail";
    match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).expect(fine);
            encoder.finish().expect(fine)
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(text).expect(fine);
            encoder.finish().expect(fine)
        }
        "raw deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(text).expect(fine);
            encoder.finish().expect(fine)
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 18);
            encoder.write_all(text).expect(fine);
            encoder.into_inner()
        }
        _ => compress_to_vec(text, CompressionLevel::Fastest),
    }
}

fn decoder(coding: &str) -> Decoder {
    let mut headers = Headers::default();
    let name = coding.trim_start_matches("raw ");
    headers.append("Content-Encoding", name.as_bytes()).expect("a header");
    Decoder::for_answer(&headers).expect("a known coding").expect("a coding")
}

/// Decodes input that comes in pieces of this size.
fn decode(coding: &str, input: &[u8], piece: usize) -> Result<Vec<u8>> {
    let mut decoder = decoder(coding);
    let mut pieces = input.chunks(piece.max(1));
    let mut out = Vec::new();
    loop {
        match decoder.pull()? {
            Pulled::Data(bytes) => {
                assert!(!bytes.is_empty() && bytes.len() <= 3 * PIECE, "{coding}: {} bytes", bytes.len());
                out.extend(bytes);
            }
            Pulled::Starved => match pieces.next() {
                Some(piece) => decoder.push(piece),
                None => decoder.close(),
            },
            Pulled::End => return Ok(out),
        }
    }
}

fn long_text() -> Vec<u8> {
    (0..40_000).flat_map(|n| format!("line {n} of a long text, {}\n", n * n % 977).into_bytes()).collect()
}

#[test]
fn every_coding_is_undone() {
    let text = long_text();
    for coding in CODINGS {
        let coded = encode(coding, &text);
        assert!(coded.len() < text.len(), "{coding}");
        for piece in [1, 1000, usize::MAX] {
            assert!(decode(coding, &coded, piece).expect(coding) == text, "{coding} by {piece}");
        }
        assert_eq!(decode(coding, &encode(coding, b""), 1).expect(coding), b"", "{coding}");
        assert_eq!(decode(coding, b"", 1).expect(coding), b"", "{coding}: no body at all");
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    for coding in ["gzip", "zstd"] {
        let mut coded = encode(coding, b"one ");
        if coding == "zstd" {
            coded.extend([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        }
        coded.extend(encode(coding, b"two"));
        for piece in [1, 7, usize::MAX] {
            assert_eq!(decode(coding, &coded, piece).expect(coding), b"one two", "{coding}");
        }
    }
}

#[test]
fn a_stream_is_undone_as_it_comes() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut decoder = decoder("gzip");
    for line in ["one\n", "two\n", "three\n"] {
        encoder.write_all(line.as_bytes()).expect("memory");
        encoder.flush().expect("memory");
        decoder.push(&std::mem::take(encoder.get_mut()));
        let mut out = Vec::new();
        while let Pulled::Data(bytes) = decoder.pull().expect("sound") {
            out.extend(bytes);
        }
        assert_eq!(out, line.as_bytes());
    }
    assert!(decoder.keeps_up());
}

#[test]
fn what_is_cut_off_or_goes_on_is_an_error() {
    let text = long_text();
    for coding in CODINGS {
        let coded = encode(coding, &text);
        for end in [1, coded.len() / 2, coded.len() - 1] {
            let error = decode(coding, &coded[..end], 4096).expect_err(coding);
            assert_eq!(error.kind(), ErrorKind::Data, "{coding}");
            assert!(error.message().contains("that it is declared to be"), "{coding} to {end}: {error}");
        }
        let longer = [coded.as_slice(), b"more"].concat();
        assert!(decode(coding, &longer, usize::MAX).is_err(), "{coding}");
        assert!(decode(coding, b"<html>this is no such thing</html>", 5).is_err(), "{coding}");
    }
}

#[test]
fn a_wrong_checksum_is_an_error() {
    for coding in ["gzip", "deflate", "zstd"] {
        let mut coded = encode(coding, &long_text());
        let last = coded.len() - if coding == "gzip" { 5 } else { 1 };
        coded[last] ^= 1;
        assert!(decode(coding, &coded, 4096).is_err(), "{coding}");
    }
}

#[test]
fn a_bomb_goes_off_in_pieces() {
    // 64 MiB of nothing in a few bytes: `decode` insists on small pieces.
    let nothing = vec![0; 64 << 20];
    for coding in CODINGS {
        let coded = encode(coding, &nothing);
        assert!(coded.len() < nothing.len() / 100, "{coding}: {}", coded.len());
        assert!(decode(coding, &coded, usize::MAX).expect(coding) == nothing, "{coding}");
    }
}

#[test]
fn a_zstd_window_beyond_8_mib_is_refused() {
    // Descriptor 0: the window descriptor follows; 2^(10+exponent) bytes.
    let frame = |exponent: u8| [&MAGIC_BYTES[..], &[0, exponent << 3], &[1, 0, 0]].concat();
    const MAGIC_BYTES: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    assert_eq!(decode("zstd", &frame(13), 4).expect("8 MiB"), b"");
    let error = decode("zstd", &frame(14), 4).expect_err("16 MiB");
    assert_eq!(error.kind(), ErrorKind::Data);
}

#[test]
fn only_what_is_known_is_undone() {
    let found = |values: &[&str]| {
        let mut headers = Headers::default();
        for value in values {
            headers.append("content-encoding", value.as_bytes()).expect("a header");
        }
        Decoder::for_answer(&headers).map(|decoder| decoder.map(|decoder| decoder.name))
    };
    assert_eq!(found(&[]), Ok(None));
    assert_eq!(found(&["", "identity"]), Ok(None));
    assert_eq!(found(&[" GZip "]), Ok(Some("gzip")));
    assert_eq!(found(&["identity, x-gzip"]), Ok(Some("gzip")));
    assert!(found(&["compress"]).expect_err("unknown").message().contains("`compress`, which is not known"));
    assert!(found(&["gzip", "br"]).expect_err("two").message().contains("`gzip, br`"));
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(text in prop::collection::vec(any::<u8>(), 0..3000), piece in 1usize..400) {
        for coding in CODINGS {
            prop_assert!(decode(coding, &encode(coding, &text), piece).expect(coding) == text, "{}", coding);
        }
    }

    #[test]
    fn nothing_panics(noise in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..50, start in 0usize..20) {
        for coding in CODINGS {
            let sound = encode(coding, b"the beginning of something sound, and then noise");
            let input = [&sound[..start.min(sound.len())], &noise].concat();
            let _ = decode(coding, &input, piece);
        }
    }
}
