//! Bodies in motion: those that arrive are cut into blocks, those that leave are read in large pieces.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, try_unfold};
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::{GetResult, GetResultPayload};
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Result, StdError, s3_error};

use super::s3_error::broken_body;

/// The most of a body that one request holds in memory, and roughly what is written or read at once.
pub(super) const BLOCK: usize = 512 * 1024;

/// Bytes on their way, from a client or from the store.
pub(crate) type BodyStream = BoxStream<'static, Result<Bytes, StdError>>;

/// A body that arrives, cut into blocks and held to a limit.
pub(crate) struct Arrival {
    flow: BodyStream,
    /// What came after the end of the last block.
    ahead: Bytes,
    left: u64,
    limit: u64,
    has_ended: bool,
}

impl Arrival {
    /// A body of at most `limit` bytes; refused at once if it announces more.
    pub(crate) fn new(flow: BodyStream, announced: Option<u64>, limit: u64) -> S3Result<Self> {
        match announced {
            Some(length) if length > limit => Err(too_large(limit)),
            _ => Ok(Self { flow, ahead: Bytes::new(), left: limit, limit, has_ended: false }),
        }
    }

    /// Whether nothing follows.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended && self.ahead.is_empty()
    }

    /// The next [`BLOCK`] bytes, or what is left, or nothing at the end.
    pub(crate) async fn next_block(&mut self) -> S3Result<Bytes> {
        let mut block = BytesMut::new();
        // One round after the block is full, so that the last block knows that it is the last.
        while !self.has_ended && block.len() + self.ahead.len() <= BLOCK {
            block.extend_from_slice(&std::mem::take(&mut self.ahead));
            self.ahead = self.next_piece().await?;
        }
        let room = BLOCK.saturating_sub(block.len()).min(self.ahead.len());
        block.extend_from_slice(&self.ahead.split_to(room));
        Ok(block.freeze())
    }

    async fn next_piece(&mut self) -> S3Result<Bytes> {
        match self.flow.next().await {
            None => {
                self.has_ended = true;
                Ok(Bytes::new())
            }
            Some(piece) => {
                let piece = piece.map_err(broken_body)?;
                let length = piece.len() as u64;
                self.left = self.left.checked_sub(length).ok_or_else(|| too_large(self.limit))?;
                Ok(piece)
            }
        }
    }
}

fn too_large(limit: u64) -> s3s::S3Error {
    s3_error!(EntityTooLarge, "objects have at most {limit} bytes here")
}

/// The range of an object that a store found, on its way out.
pub(crate) fn outflow(found: GetResult) -> BodyStream {
    match found.payload {
        // Not as the store's own stream, whose pieces are of a few kilobytes, each with a hop between threads.
        GetResultPayload::File(file, _) => pieces_of_file(file, found.range.start, found.range.end),
        GetResultPayload::Stream(pieces) => pieces.map_err(StdError::from).boxed(),
    }
}

fn pieces_of_file(file: File, start: u64, end: u64) -> BodyStream {
    try_unfold((file, start), move |(file, position)| async move {
        if position >= end {
            return Ok(None);
        }
        let length = (end - position).min(BLOCK as u64);
        let (file, piece) =
            tokio::task::spawn_blocking(move || read_piece(file, position, length)).await??;
        Ok(Some((piece, (file, position + length))))
    })
    .boxed()
}

fn read_piece(mut file: File, position: u64, length: u64) -> std::io::Result<(File, Bytes)> {
    file.seek(SeekFrom::Start(position))?;
    let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or(BLOCK));
    (&mut file).take(length).read_to_end(&mut piece)?;
    match piece.len() as u64 {
        got if got == length => Ok((file, piece.into())),
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A flow of known length, in the form in which answers want it.
pub(crate) fn blob(flow: BodyStream, length: u64) -> StreamingBlob {
    StreamingBlob::new(Departure {
        flow: Mutex::new(flow),
        left: usize::try_from(length).unwrap_or(usize::MAX),
    })
}

/// A body that leaves. The mutex is never locked: it is there because answers must be [`Sync`].
struct Departure {
    flow: Mutex<BodyStream>,
    left: usize,
}

impl Stream for Departure {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let flow = self.flow.get_mut().unwrap_or_else(PoisonError::into_inner);
        let next = flow.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(piece))) = &next {
            self.left = self.left.saturating_sub(piece.len());
        }
        next
    }
}

impl ByteStream for Departure {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(lengths: &[usize]) -> BodyStream {
        let pieces: Vec<_> =
            lengths.iter().map(|length| Ok(Bytes::from(vec![7; *length]))).collect();
        futures_util::stream::iter(pieces).boxed()
    }

    fn block_lengths(lengths: &[usize], limit: u64) -> S3Result<Vec<usize>> {
        let mut arrival = Arrival::new(flow(lengths), None, limit)?;
        let mut blocks = Vec::new();
        while !arrival.has_ended() {
            blocks
                .push(futures_util::FutureExt::now_or_never(arrival.next_block()).unwrap()?.len());
        }
        Ok(blocks)
    }

    #[test]
    fn bodies_are_cut_into_whole_blocks() {
        assert_eq!(block_lengths(&[], 0).unwrap(), [0]);
        assert_eq!(block_lengths(&[0, 3, 0, 4], 7).unwrap(), [7]);
        assert_eq!(block_lengths(&[BLOCK], u64::MAX).unwrap(), [BLOCK]);
        assert_eq!(block_lengths(&[BLOCK - 1, 2], u64::MAX).unwrap(), [BLOCK, 1]);
        assert_eq!(block_lengths(&[3 * BLOCK + 5], u64::MAX).unwrap(), [BLOCK, BLOCK, BLOCK, 5]);
    }

    #[test]
    fn bodies_are_held_to_the_limit() {
        assert!(Arrival::new(flow(&[]), Some(11), 10).is_err());
        assert!(block_lengths(&[5, 5], 10).is_ok());
        let error = block_lengths(&[5, 6], 10).unwrap_err();
        assert_eq!(error.code(), &s3s::S3ErrorCode::EntityTooLarge);
    }

    #[test]
    fn a_file_is_read_from_and_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        let content: Vec<u8> = (0..BLOCK + 100).map(|index| (index % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let read = |start: usize, end: usize| {
            let pieces = pieces_of_file(File::open(&path).unwrap(), start as u64, end as u64);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(pieces.try_collect::<Vec<_>>()).map(|pieces| pieces.concat())
        };
        for (start, end) in [(0, 0), (1, 2), (0, BLOCK), (99, BLOCK + 100)] {
            assert_eq!(read(start, end).unwrap(), content[start..end]);
        }
        assert!(read(0, BLOCK + 101).is_err());
    }
}
