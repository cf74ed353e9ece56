//! What a program prints, in chunks as they come, up to a bound.
//!
//! Promises: chunks of a stream follow each other by their offsets, in bytes of what was printed;
//! a character is not cut in two; what is beyond the bound is read and thrown away, so that the
//! program is not held up, and the last chunk says so.

use broker::Work;
use protocol::command::OutputStream;

/// Largest chunk, in bytes.
pub(super) const CHUNK_MAX_BYTES: usize = 16 * 1024;

/// Where what was printed goes.
#[derive(Debug)]
pub(super) enum Sink<'a> {
    /// Told as it comes.
    Tell(&'a Work),
    /// Kept until the program ends.
    Keep(Vec<u8>),
}

/// One of a program's two outputs.
#[derive(Debug)]
pub(super) struct Output<'a> {
    which: OutputStream,
    sink: Sink<'a>,
    max_bytes: u64,
    /// Printed so far.
    pub(super) printed: u64,
    /// Told or kept so far.
    offset: u64,
    buffer: Vec<u8>,
    /// The end was told.
    closed: bool,
}

impl<'a> Output<'a> {
    pub(super) const fn new(which: OutputStream, sink: Sink<'a>, max_bytes: u64) -> Self {
        Self { which, sink, max_bytes, printed: 0, offset: 0, buffer: Vec::new(), closed: false }
    }

    /// More was printed than is kept.
    pub(super) const fn is_cut(&self) -> bool {
        self.printed > self.max_bytes
    }

    /// There is something to tell, now or after a moment.
    pub(super) const fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// What was kept.
    pub(super) fn kept(self) -> Vec<u8> {
        match self.sink {
            Sink::Keep(kept) => kept,
            Sink::Tell(_) => Vec::new(),
        }
    }

    /// Takes what was printed.
    pub(super) async fn take(&mut self, bytes: &[u8]) {
        let room = self.max_bytes.saturating_sub(self.printed);
        let room = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.printed += bytes.len() as u64;
        if self.closed {
            return;
        }
        match &mut self.sink {
            Sink::Keep(kept) => kept.extend_from_slice(&bytes[..room]),
            Sink::Tell(_) => self.buffer.extend_from_slice(&bytes[..room]),
        }
        if self.buffer.len() >= CHUNK_MAX_BYTES || self.is_cut() {
            self.tell().await;
        }
    }

    /// Tells what there is, but for half a character at its end.
    pub(super) async fn tell(&mut self) {
        let whole = if self.is_cut() { self.buffer.len() } else { whole_characters(&self.buffer) };
        self.tell_up_to(whole).await;
    }

    /// Tells what is left: nothing more comes.
    pub(super) async fn end(&mut self) {
        self.tell_up_to(self.buffer.len()).await;
        self.closed = true;
    }

    async fn tell_up_to(&mut self, bytes: usize) {
        let Sink::Tell(work) = &self.sink else { return };
        let cut = self.is_cut();
        if self.closed || (bytes == 0 && !cut) {
            return;
        }
        let rest = self.buffer.split_off(bytes);
        let chunk = String::from_utf8_lossy(&self.buffer).into_owned();
        let offset = self.offset;
        self.offset += bytes as u64;
        self.buffer = rest;
        self.closed = cut;
        work.printed(self.which, offset, chunk, cut).await;
    }
}

/// How many bytes are no half character at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // What is no text is replaced anyhow, wherever it is cut.
        Err(_) | Ok(_) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::whole_characters;

    #[test]
    fn a_character_is_not_cut_in_two() {
        assert_eq!(whole_characters("aä".as_bytes()), 3);
        assert_eq!(whole_characters(&"aä".as_bytes()[..2]), 1);
        assert_eq!(whole_characters(b"\xff\xfe"), 2);
        assert_eq!(whole_characters(b""), 0);
    }
}
