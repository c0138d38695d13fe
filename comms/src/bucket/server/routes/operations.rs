//! The supported operations of S3. `s3s` answers all others with `NotImplemented`.

use async_trait::async_trait;
use futures_util::StreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::listing::{MAX_PAGE, Query, page};
use super::multipart::{Uploads, select_parts, tag_value};
use crate::bucket::server::auth::Permission;
use crate::bucket::server::files::{ObjectFiles, object_path};
use crate::bucket::server::http::{
    BodyStream, check_dates, check_tags, object_stream, sized_blob, write_mode,
};

/// The most objects that one request removes, as in S3.
const MAX_REMOVED: usize = 1000;

/// The operations on one bucket. The [`Authorizer`](crate::bucket::server::auth::Authorizer) has
/// permitted each request that arrives here.
pub(crate) struct Operations {
    pub(in crate::bucket::server) bucket: String,
    pub(in crate::bucket::server) object_files: ObjectFiles,
    pub(in crate::bucket::server) uploads: Uploads,
}

impl Operations {
    async fn remove_all(&self, paths: impl IntoIterator<Item = Path>) {
        for path in paths {
            // If this fails, the file stays in the staging area until the next start.
            let _ = self.object_files.remove(&path).await;
        }
    }
}

#[async_trait]
impl S3 for Operations {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        // The bucket exists. Tools such as `aws s3 mb` expect success for a bucket that they own.
        if request.input.bucket == self.bucket {
            ok(CreateBucketOutput { location: Some(format!("/{}", self.bucket)) })
        } else {
            Err(s3_error!(TooManyBuckets, "this server has one bucket, `{}`", self.bucket))
        }
    }

    async fn head_bucket(
        &self,
        _: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        ok(HeadBucketOutput::default())
    }

    async fn get_bucket_location(
        &self,
        _: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        ok(GetBucketLocationOutput::default())
    }

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = Bucket { name: Some(self.bucket.clone()), ..Bucket::default() };
        ok(ListBucketsOutput { buckets: Some(vec![bucket]), ..ListBucketsOutput::default() })
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let limit = page_limit(input.max_keys);
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after_key: input.start_after.clone(),
            after_entry: input.continuation_token.clone(),
            limit,
        };
        let page = page(self.object_files.store(), &query).await?;
        let folders = page.folders.into_iter().map(|folder| CommonPrefix { prefix: Some(folder) });
        ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            start_after: input.start_after,
            continuation_token: input.continuation_token,
            max_keys: i32::try_from(limit).ok(),
            key_count: i32::try_from(page.objects.len() + folders.len()).ok(),
            is_truncated: Some(page.last.is_some()),
            next_continuation_token: page.last,
            common_prefixes: Some(folders.collect()),
            contents: Some(page.objects.iter().map(listed).collect()),
            ..ListObjectsV2Output::default()
        })
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let found = self.object_files.head(&object_path(&input.key)?).await?;
        check_tags(&found, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        check_dates(&found, input.if_modified_since.as_ref(), input.if_unmodified_since.as_ref())?;
        ok(HeadObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: length(found.size),
            e_tag: Some(tag(&found)),
            last_modified: Some(modified(&found)),
            ..HeadObjectOutput::default()
        })
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let is_ranged = input.range.is_some();
        let found = self.object_files.get(&object_path(&input.key)?, input.range).await?;
        check_tags(&found.meta, input.if_match.as_ref(), input.if_none_match.as_ref())?;
        check_dates(
            &found.meta,
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        )?;
        let range = found.range.clone();
        let bytes = range.end.saturating_sub(range.start);
        ok(GetObjectOutput {
            accept_ranges: Some("bytes".into()),
            content_length: length(bytes),
            content_range: is_ranged.then(|| {
                format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), found.meta.size)
            }),
            e_tag: Some(tag(&found.meta)),
            last_modified: Some(modified(&found.meta)),
            body: Some(sized_blob(object_stream(found), bytes)),
            ..GetObjectOutput::default()
        })
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let permission = permission(&request);
        let input = request.input;
        let mode = write_mode(permission, input.if_none_match.as_ref(), input.if_match.as_ref())?;
        let announced = announced(input.content_length);
        let written = self
            .object_files
            .write(&object_path(&input.key)?, body_stream(input.body), announced, mode)
            .await?;
        ok(PutObjectOutput { e_tag: Some(tag(&written)), ..PutObjectOutput::default() })
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let permission = permission(&request);
        let CopySource::Bucket { bucket, key, .. } = &request.input.copy_source else {
            return Err(s3_error!(NotImplemented, "only copies within the bucket are supported"));
        };
        if **bucket != *self.bucket {
            return Err(s3_error!(NoSuchBucket));
        }
        let copied = self
            .object_files
            .copy(
                &object_path(key)?,
                &object_path(&request.input.key)?,
                write_mode(permission, None, None)?,
            )
            .await?;
        let result = CopyObjectResult {
            e_tag: Some(tag(&copied)),
            last_modified: Some(modified(&copied)),
            ..CopyObjectResult::default()
        };
        ok(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() })
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.object_files.remove(&object_path(&request.input.key)?).await?;
        ok(DeleteObjectOutput::default())
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let delete = request.input.delete;
        if delete.objects.len() > MAX_REMOVED {
            return Err(s3_error!(
                MalformedXML,
                "a request may remove at most {MAX_REMOVED} objects"
            ));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for ObjectIdentifier { key, .. } in delete.objects {
            // An error concerns its own key only; the answer lists both results.
            let removal = async { self.object_files.remove(&object_path(&key)?).await };
            match removal.await {
                Ok(()) => {
                    deleted.push(DeletedObject { key: Some(key), ..DeletedObject::default() })
                }
                Err(error) => errors.push(Error {
                    key: Some(key),
                    code: Some(error.code().as_str().into()),
                    message: error.message().map(Into::into),
                    ..Error::default()
                }),
            }
        }
        let deleted = (!delete.quiet.unwrap_or_default()).then_some(deleted);
        ok(DeleteObjectsOutput { deleted, errors: Some(errors), ..DeleteObjectsOutput::default() })
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let owner =
            request.credentials.map(|credentials| credentials.access_key).unwrap_or_default();
        let (bucket, key) = (request.input.bucket, request.input.key);
        let (id, ended) = self.uploads.begin(object_path(&key)?, &owner);
        self.remove_all(ended).await;
        ok(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        })
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let (path, number) = (object_path(&input.key)?, input.part_number);
        // Before the body is read, and again when the part is added: the upload may end in between.
        self.uploads.check(&input.upload_id, &path, number)?;
        let part = self
            .object_files
            .write_part(body_stream(input.body), announced(input.content_length))
            .await?;
        let (staged, e_tag) = (part.location.clone(), Some(tag(&part)));
        match self.uploads.add_part(&input.upload_id, &path, number, part) {
            Ok(replaced) => self.remove_all(replaced).await,
            Err(error) => {
                self.remove_all([staged]).await;
                return Err(error);
            }
        }
        ok(UploadPartOutput { e_tag, ..UploadPartOutput::default() })
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let after = input.part_number_marker.unwrap_or_default();
        let limit = page_limit(input.max_parts);
        let uploaded = self.uploads.parts(&input.upload_id, &object_path(&input.key)?)?;
        let mut rest = uploaded.range(after.saturating_add(1)..);
        let parts: Vec<_> =
            rest.by_ref().take(limit).map(|(number, part)| listed_part(*number, part)).collect();
        ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(rest.next().is_some()),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            parts: Some(parts),
            ..ListPartsOutput::default()
        })
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let permission = permission(&request);
        let input = request.input;
        let mode = write_mode(permission, input.if_none_match.as_ref(), input.if_match.as_ref())?;
        let path = object_path(&input.key)?;
        let wanted = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let wanted: Vec<_> = wanted
            .iter()
            .filter_map(|part| Some((part.part_number?, part.e_tag.as_ref()?.value())))
            .collect();
        let parts = select_parts(&self.uploads.parts(&input.upload_id, &path)?, &wanted)?;
        let written = self.object_files.assemble(parts, &path, mode).await?;
        // Only now: if the write fails, the client may complete the upload again.
        self.remove_all(self.uploads.end(&input.upload_id, &path)?).await;
        ok(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(tag(&written)),
            ..CompleteMultipartUploadOutput::default()
        })
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let ended =
            self.uploads.end(&request.input.upload_id, &object_path(&request.input.key)?)?;
        self.remove_all(ended).await;
        ok(AbortMultipartUploadOutput::default())
    }
}

fn ok<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

fn permission<T>(request: &S3Request<T>) -> Permission {
    // The authorizer always adds one. If it did not, the least permission would be the safe choice.
    request.extensions.get().copied().unwrap_or(Permission::CreateOnly)
}

fn body_stream(body: Option<StreamingBlob>) -> BodyStream {
    match body {
        Some(body) => body.boxed(),
        None => futures_util::stream::empty().boxed(),
    }
}

/// The number of entries of a page: the requested one, at most [`MAX_PAGE`].
fn page_limit(requested: Option<i32>) -> usize {
    requested.map_or(MAX_PAGE, |limit| usize::try_from(limit).unwrap_or(0).min(MAX_PAGE))
}

fn announced(length: Option<i64>) -> Option<u64> {
    length.and_then(|length| u64::try_from(length).ok())
}

fn length(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

fn tag(stored: &ObjectMeta) -> ETag {
    ETag::Strong(tag_value(stored).into())
}

fn modified(stored: &ObjectMeta) -> Timestamp {
    Timestamp::from(std::time::SystemTime::from(stored.last_modified))
}

fn listed(stored: &ObjectMeta) -> Object {
    Object {
        key: Some(stored.location.to_string()),
        e_tag: Some(tag(stored)),
        last_modified: Some(modified(stored)),
        size: length(stored.size),
        ..Object::default()
    }
}

fn listed_part(number: i32, part: &ObjectMeta) -> Part {
    Part {
        part_number: Some(number),
        e_tag: Some(tag(part)),
        last_modified: Some(modified(part)),
        size: length(part.size),
        ..Part::default()
    }
}
