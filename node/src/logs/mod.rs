//! Container logs: files in CRI format that the runtime writes and readers follow.

mod entry;
mod files;
mod follow;
mod render;
mod stream;

use std::{
    io::{self, BufRead as _, Seek as _},
    path::Path,
};

use jiff::{SignedDuration, Timestamp};
use orch_api::Status;

pub(crate) use self::{entry::Stream, stream::stream};

/// What a container that left no message said last: up to 80 lines, up to 2 KiB. Blocking.
pub(crate) fn last_words(log: &Path) -> io::Result<Vec<u8>> {
    const LINES: u64 = 80;
    const LONGEST_BYTES: usize = 2048;
    let files = files::files(log)?;
    let start = files::tail(&files, LINES)?;
    let mut renderer = render::Renderer::new(&LogOptions::default());
    let mut output = Vec::new();
    for (index, path) in files.iter().enumerate().skip(start.file) {
        let mut file = std::fs::File::open(path)?;
        file.seek(io::SeekFrom::Start(if index == start.file { start.offset } else { 0 }))?;
        for line in io::BufReader::new(file).split(b'\n') {
            output.extend_from_slice(&renderer.line(&line?));
        }
    }
    Ok(output.split_off(output.len().saturating_sub(LONGEST_BYTES)))
}

/// What a reader wants of a log: the query parameters of a pod's `log`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogOptions {
    pub(crate) container: Option<String>,
    pub(crate) follow: bool,
    pub(crate) previous: bool,
    pub(crate) timestamps: bool,
    pub(crate) since: Option<Timestamp>,
    pub(crate) tail_lines: Option<u64>,
    pub(crate) limit_bytes: Option<u64>,
    pub(crate) stream: Option<Stream>,
}

impl LogOptions {
    /// Reads query pairs; unknown ones are ignored, as kubelet does.
    pub(crate) fn parse(query: &[(String, String)], now: Timestamp) -> Result<Self, Status> {
        let mut options = Self::default();
        let (mut since_seconds, mut since_time) = (None, None);
        for (name, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "container" => options.container = Some(value.clone()),
                "follow" => options.follow = boolean(name, value)?,
                "previous" => options.previous = boolean(name, value)?,
                "timestamps" => options.timestamps = boolean(name, value)?,
                "sinceSeconds" => since_seconds = Some(number(name, value, 1)?),
                "sinceTime" => {
                    let time = value
                        .parse::<Timestamp>()
                        .map_err(|_| invalid(name, value, "not an RFC 3339 time"))?;
                    since_time = Some(time);
                }
                "tailLines" => options.tail_lines = Some(number(name, value, 0)?.unsigned_abs()),
                "limitBytes" => options.limit_bytes = Some(number(name, value, 1)?.unsigned_abs()),
                "stream" => options.stream = stream_named(value)?,
                _ => {}
            }
        }
        if since_seconds.is_some() && since_time.is_some() {
            return Err(Status::bad_request("at most one of `sinceTime` or `sinceSeconds` may be specified"));
        }
        let ago = |seconds| now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        options.since = since_time.or(since_seconds.map(ago));
        Ok(options)
    }
}

fn boolean(name: &str, value: &str) -> Result<bool, Status> {
    match value {
        "true" | "True" | "TRUE" | "t" | "T" | "1" => Ok(true),
        "false" | "False" | "FALSE" | "f" | "F" | "0" => Ok(false),
        _ => Err(invalid(name, value, "must be true or false")),
    }
}

fn number(name: &str, value: &str, at_least: i64) -> Result<i64, Status> {
    let number = value.parse::<i64>().map_err(|_| invalid(name, value, "must be a whole number"))?;
    if number < at_least {
        return Err(invalid(name, value, &format!("must be greater than or equal to {at_least}")));
    }
    Ok(number)
}

fn stream_named(value: &str) -> Result<Option<Stream>, Status> {
    match value {
        "All" => Ok(None),
        "Stdout" => Ok(Some(Stream::Stdout)),
        "Stderr" => Ok(Some(Stream::Stderr)),
        _ => Err(invalid("stream", value, "supported values: \"All\", \"Stderr\", \"Stdout\"")),
    }
}

fn invalid(name: &str, value: &str, why: &str) -> Status {
    Status::bad_request(format!("{name}: Invalid value: {value:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &[(&str, &str)]) -> Result<LogOptions, Status> {
        let query: Vec<_> = query.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        LogOptions::parse(&query, Timestamp::from_second(100).unwrap())
    }

    #[test]
    fn the_query_is_read() {
        let options =
            parse(&[("follow", "true"), ("tailLines", "0"), ("sinceSeconds", "40"), ("x", "y")]).unwrap();
        assert!(options.follow && !options.previous);
        assert_eq!(options.tail_lines, Some(0));
        assert_eq!(options.since, Timestamp::from_second(60).ok());
    }

    #[test]
    fn values_that_make_no_sense_are_bad_requests() {
        for bad in [
            &[("tailLines", "-1")][..],
            &[("limitBytes", "0")],
            &[("follow", "maybe")],
            &[("sinceTime", "yesterday")],
            &[("sinceSeconds", "1"), ("sinceTime", "2026-01-31T12:00:00Z")],
            &[("stream", "stdout")],
        ] {
            assert_eq!(parse(bad).unwrap_err().code, 400, "{bad:?}");
        }
    }
}
