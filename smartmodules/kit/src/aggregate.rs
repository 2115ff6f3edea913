//! An `aggregate` of which each record gets a value of its own.
//!
//! The `aggregate` that `fluvio-smartmodule` generates gives every record the whole accumulator for its value. The
//! ABI keeps the two apart, so a module can return what has become of one key and leave all the others in the
//! accumulator, which crosses into the module and back once a batch. [`aggregate!`](crate::aggregate) exports such
//! a module; engines run it like any other.

use std::io::Cursor;

use fluvio_smartmodule::dataplane::core::{Decoder, Encoder};
use fluvio_smartmodule::dataplane::smartmodule::{
    SmartModuleAggregateInput, SmartModuleAggregateOutput, SmartModuleKind, SmartModuleOutput,
    SmartModuleTransformErrorStatus as Status, SmartModuleTransformRuntimeError,
};
use fluvio_smartmodule::{RecordData, Result, SmartModuleRecord};

/// What is carried from record to record, and kept by the host from batch to batch.
pub trait Accumulate: Sized {
    /// Reads it; the first time there are no bytes.
    ///
    /// # Errors
    /// When it is not what [`Accumulate::save`] wrote.
    fn load(bytes: &[u8]) -> Result<Self>;

    /// Adds a record and returns what takes its place: key and value.
    ///
    /// # Errors
    /// When the record is refused; then nothing is added.
    fn add(&mut self, record: &SmartModuleRecord) -> Result<(Option<RecordData>, RecordData)>;

    /// Writes it.
    fn save(&self) -> Vec<u8>;
}

/// Exports `aggregate` for a type that implements [`Accumulate`].
#[macro_export]
macro_rules! aggregate {
    ($state:ident) => {
        #[cfg(target_family = "wasm")]
        #[expect(unsafe_code, reason = "a function of the SmartModule ABI: named and called from outside")]
        mod exported {
            /// One call of the ABI.
            ///
            /// # Safety
            /// The host calls it with a buffer of `length` bytes that `alloc` made and that nothing else uses.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn aggregate(pointer: *mut u8, length: usize, version: i16) -> i32 {
                // SAFETY: the host keeps to the condition above, which is the callee's.
                unsafe { $crate::export_aggregate::<super::$state>(pointer, length, version) }
            }
        }
    };
}

/// What [`aggregate!`](crate::aggregate) exports.
///
/// # Safety
/// `pointer` and `length` are a buffer from `alloc`, which is handed over.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
#[expect(unsafe_code, reason = "the SmartModule ABI passes raw buffers")]
pub unsafe fn export_aggregate<S: Accumulate>(pointer: *mut u8, length: usize, version: i16) -> i32 {
    unsafe extern "C" {
        fn copy_records(pointer: i32, length: i32);
    }
    // SAFETY: `alloc` made the buffer as a `Vec` of just this capacity, and the caller hands it over.
    let input = unsafe { Vec::from_raw_parts(pointer, length, length) };
    match aggregate_batch::<S>(input, version) {
        Ok((records, output)) => {
            // The host reads the buffer after this function has returned: it belongs to the host from here on.
            let output = output.leak();
            // SAFETY: an import of the ABI; it only notes the two numbers.
            unsafe { copy_records(output.as_ptr() as i32, output.len() as i32) };
            records
        }
        Err(status) => status as i32,
    }
}

/// Adds a batch, both ways in the ABI's encoding. Returns how many records there are in the output, and the output.
///
/// # Errors
/// When the input can't be read, or the output not written.
pub fn aggregate_batch<S: Accumulate>(input: Vec<u8>, version: i16) -> std::result::Result<(i32, Vec<u8>), Status> {
    let mut decoded = SmartModuleAggregateInput::default();
    decoded.decode(&mut Cursor::new(input), version).map_err(|_| Status::DecodingBaseInput)?;
    let SmartModuleAggregateInput { base, mut accumulator } = decoded;
    let base_offset = base.base_offset();
    let records = base.try_into_smartmodule_records(version).map_err(|_| Status::DecodingRecords)?;
    let mut output = SmartModuleOutput { successes: Vec::with_capacity(records.len()), error: None };
    let refuse = |record: SmartModuleRecord, error| {
        let record = record.into_inner();
        Some(SmartModuleTransformRuntimeError::new(&record, base_offset, SmartModuleKind::Aggregate, error))
    };
    match S::load(&accumulator) {
        Ok(mut state) => {
            for record in records {
                match state.add(&record) {
                    Ok((key, value)) => {
                        let mut record = record.into_inner();
                        record.key = key;
                        record.value = value;
                        output.successes.push(record);
                    }
                    Err(error) => {
                        output.error = refuse(record, error);
                        break;
                    }
                }
            }
            accumulator = state.save();
        }
        // Every record is refused for it: nothing can be added to what can't be read.
        Err(error) => output.error = records.into_iter().next().and_then(|record| refuse(record, error)),
    }
    let count = i32::try_from(output.successes.len()).map_err(|_| Status::EncodingOutput)?;
    let mut bytes = Vec::new();
    let output = SmartModuleAggregateOutput { base: output, accumulator };
    output.encode(&mut bytes, version).map_err(|_| Status::EncodingOutput)?;
    Ok((count, bytes))
}
