//! [`Document`]: what a server has published, read again only if it has become something else.

use bytes::Bytes;
use orch_api::Status;
use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};

use crate::{Accept, HttpClient};

/// A document as a server last sent it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its bytes.
    pub bytes: Bytes,
    /// What the server calls this state of it; none if it does not say.
    etag: Option<HeaderValue>,
}

impl Document {
    /// Whether the other is known to be the same: the server has said so.
    pub fn is(&self, other: &Self) -> bool {
        self.etag.is_some() && self.etag == other.etag
    }
}

impl HttpClient {
    /// Reads a path that is not a resource, such as `/apis`. What was read before is sent again only if it has changed; whether the
    /// caller may read it is asked every time.
    ///
    /// # Errors
    /// As [`orch_api::Client::send`].
    pub async fn document(
        &self,
        path: &str,
        accept: Accept,
        known: Option<&Document>,
    ) -> Result<Document, Status> {
        let mut request = self.reading(path);
        if let Some(etag) = known.and_then(|known| known.etag.as_ref()) {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let response = self.answer(request, accept).await?;
        let etag = response.headers().get(ETAG).cloned();
        match known.filter(|_| response.status() == StatusCode::NOT_MODIFIED) {
            Some(known) => Ok(known.clone()),
            None => Ok(Document { bytes: self.whole(response).await?, etag }),
        }
    }
}
