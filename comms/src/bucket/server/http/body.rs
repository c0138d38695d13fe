//! Bodies as streams: incoming ones are cut into blocks, outgoing ones are read from files in large
//! pieces.

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

/// The bytes of a body that one request holds in memory, and about the size of one write or read.
/// Smaller blocks cost more switches between threads; larger ones more memory for each of the
/// connections.
pub(super) const BLOCK: usize = 512 * 1024;

/// The bytes of a body, from a client or from the store.
pub(crate) type BodyStream = BoxStream<'static, Result<Bytes, StdError>>;

/// The body of a request, cut into blocks and limited in length.
pub(crate) struct IncomingBody {
    stream: BodyStream,
    /// Bytes that arrived after the end of the last block.
    ahead: Bytes,
    left: u64,
    limit: u64,
    has_ended: bool,
}

impl IncomingBody {
    /// Creates a body of at most `limit` bytes.
    ///
    /// # Errors
    /// `EntityTooLarge` if the announced length exceeds the limit.
    pub(crate) fn new(stream: BodyStream, announced: Option<u64>, limit: u64) -> S3Result<Self> {
        match announced {
            Some(length) if length > limit => Err(too_large(limit)),
            _ => Ok(Self { stream, ahead: Bytes::new(), left: limit, limit, has_ended: false }),
        }
    }

    /// Returns true if no bytes follow.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended && self.ahead.is_empty()
    }

    /// Reads the next [`BLOCK`] bytes, or the rest of the body. Returns an empty block at the end.
    pub(crate) async fn next_block(&mut self) -> S3Result<Bytes> {
        let mut block = BytesMut::new();
        // Reads one piece beyond a full block, so `has_ended` is true together with the last block.
        while !self.has_ended && block.len() + self.ahead.len() <= BLOCK {
            block.extend_from_slice(&std::mem::take(&mut self.ahead));
            self.ahead = self.next_piece().await?;
        }
        let room = BLOCK.saturating_sub(block.len()).min(self.ahead.len());
        block.extend_from_slice(&self.ahead.split_to(room));
        Ok(block.freeze())
    }

    async fn next_piece(&mut self) -> S3Result<Bytes> {
        match self.stream.next().await {
            None => {
                self.has_ended = true;
                Ok(Bytes::new())
            }
            Some(piece) => {
                let piece = piece.map_err(broken_body)?;
                let length = piece.len() as u64;
                // A body may exceed its announced length, or announce none.
                self.left = self.left.checked_sub(length).ok_or_else(|| too_large(self.limit))?;
                Ok(piece)
            }
        }
    }
}

fn too_large(limit: u64) -> s3s::S3Error {
    s3_error!(EntityTooLarge, "objects may have at most {limit} bytes")
}

/// The bytes of an object, or of a range of it, as a stream.
pub(crate) fn object_stream(found: GetResult) -> BodyStream {
    match found.payload {
        // Not the stream of the store: it has pieces of 8 KiB, each with a switch between threads.
        GetResultPayload::File(file, _) => file_stream(file, found.range.start, found.range.end),
        GetResultPayload::Stream(pieces) => pieces.map_err(StdError::from).boxed(),
    }
}

fn file_stream(file: File, start: u64, end: u64) -> BodyStream {
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
        // Another program has shortened the file. The answer must not look complete.
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A stream of known length in the form that `s3s` sends.
pub(crate) fn sized_blob(stream: BodyStream, length: u64) -> StreamingBlob {
    StreamingBlob::new(SizedStream {
        stream: Mutex::new(stream),
        left: usize::try_from(length).unwrap_or(usize::MAX),
    })
}

/// The body of an answer with its remaining length. The mutex is never locked: `s3s` requires
/// [`Sync`], and a [`BodyStream`] is not.
struct SizedStream {
    stream: Mutex<BodyStream>,
    left: usize,
}

impl Stream for SizedStream {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        let next = stream.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(piece))) = &next {
            self.left = self.left.saturating_sub(piece.len());
        }
        next
    }
}

impl ByteStream for SizedStream {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn body(lengths: &[usize]) -> BodyStream {
        let pieces: Vec<_> =
            lengths.iter().map(|length| Ok(Bytes::from(vec![7; *length]))).collect();
        futures_util::stream::iter(pieces).boxed()
    }

    fn block_lengths(lengths: &[usize], limit: u64) -> S3Result<Vec<usize>> {
        let mut body = IncomingBody::new(body(lengths), None, limit)?;
        let mut blocks = Vec::new();
        while !body.has_ended() {
            blocks.push(body.next_block().now_or_never().unwrap()?.len());
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
    fn bodies_above_the_limit_are_refused() {
        assert!(IncomingBody::new(body(&[]), Some(11), 10).is_err());
        assert!(block_lengths(&[5, 5], 10).is_ok());
        let error = block_lengths(&[5, 6], 10).unwrap_err();
        assert_eq!(error.code(), &s3s::S3ErrorCode::EntityTooLarge);
    }

    #[test]
    fn a_range_of_a_file_is_read_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        let content: Vec<u8> = (0..BLOCK + 100).map(|index| (index % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let read = |start: usize, end: usize| {
            let pieces = file_stream(File::open(&path).unwrap(), start as u64, end as u64);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(pieces.try_collect::<Vec<_>>()).map(|pieces| pieces.concat())
        };
        for (start, end) in [(0, 0), (1, 2), (0, BLOCK), (99, BLOCK + 100)] {
            assert_eq!(read(start, end).unwrap(), content[start..end]);
        }
        assert!(read(0, BLOCK + 101).is_err());
    }
}
