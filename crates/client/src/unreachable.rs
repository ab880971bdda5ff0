//! What is said when no server answered.

use std::error::Error;
use std::io;

use orch_api::Status;

/// The request could not be sent, or nothing came back.
pub(crate) fn status(server: &str, error: &(dyn Error + 'static)) -> Status {
    Status::unavailable(format!("cannot reach {server}: {}", explain(error)))
}

/// The answer broke off in the middle.
pub(crate) fn cut_off(server: &str, error: &(dyn Error + 'static)) -> Status {
    Status::unavailable(format!("the connection to {server} broke off: {}", root_cause(error)))
}

/// The innermost error of the chain: the outer ones only say that something went wrong.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

fn explain(error: &(dyn Error + 'static)) -> String {
    let io = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).last();
    if chain(error).any(|cause| cause.is::<rustls::Error>()) || io == Some(io::ErrorKind::InvalidData) {
        return explain_tls(&root_cause(error));
    }
    match io {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused; is `orchd up` running?".into(),
        Some(io::ErrorKind::TimedOut) => {
            "no answer within 10 s; is the address right, and the way to it open?".into()
        }
        _ => root_cause(error),
    }
}

fn explain_tls(cause: &str) -> String {
    let hint = if cause.contains("UnknownIssuer") || cause.contains("BadSignature") {
        "; its certificate is not signed by the kubeconfig's certificate-authority: is the kubeconfig that of this server?"
    } else if cause.contains("not valid for name") || cause.contains("NotValidForName") {
        "; set tls-server-name in the kubeconfig's cluster to a name that the certificate has"
    } else {
        ""
    };
    format!("TLS: {cause}{hint}")
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

/// An `io::Error` that wraps another error names that error's source, not the error, as its own.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}
