//! Where a reader stands, in the form that the host keeps: JSON without secrets.

use serde::{Deserialize, Serialize};

use crate::pages::Page;
use crate::protocol::Validators;

/// Where a reader stands: behind the last record that it handed out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// How many polls are through.
    pub polls: u64,
    /// When the last of them began, or the one under way, in milliseconds since 1970.
    pub at: i64,
    /// What to ask for news with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// Where the poll under way has come to, or the next one is to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The last event of a stream of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<LastEvent>,
}

impl Cursor {
    /// How far it is: the greater, the later.
    pub fn progress(&self) -> (u64, u32, u64) {
        let place = self.place.as_ref();
        let pages = place.and_then(|place| place.pages).unwrap_or_default();
        let taken = place.and_then(|place| place.taken.as_ref()).map_or(0, |(taken, _)| *taken);
        (self.polls, pages, taken)
    }
}

/// The state of a resource that was delivered last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The address it belongs to, as a fingerprint: the address itself may hold a secret.
    pub of: String,
    /// What the server calls that state.
    #[serde(flatten)]
    pub validators: Validators,
}

/// A place among the records of a poll.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The endpoint's address, as a fingerprint.
    pub of: String,
    /// The page; absent for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// How many pages of this poll came before it; absent between two polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// How many records of it are handed out, and the fingerprint of its body: they count only if it comes
    /// back unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<(u64, String)>,
}

/// The last event that was handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEvent {
    /// The endpoint's address, as a fingerprint.
    pub of: String,
    /// Its id.
    pub id: String,
}

/// Tells one text from another (FNV-1a, 64 bits).
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The same as text.
pub fn fingerprint_text(bytes: &[u8]) -> String {
    format!("{:016x}", fingerprint(bytes))
}
