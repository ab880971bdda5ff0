//! `GET …/attach`: a part in the streams of a container's own process, over a WebSocket.

use axum::{
    extract::{
        Path, RawQuery, State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use futures::StreamExt;
use orch_api::{Reason, Status};
use orch_ontology::Container;
use orch_runtime::{AttachSession, ContainerId};

use super::{
    Failure, Server,
    channels::{self, STDERR, STDOUT},
    containers::choose,
    conversation::{Left, Output, Wanted, accept, input},
    pairs,
};
use crate::{agent::chain, plan::is_running, spec::all_containers};

pub(super) async fn attach(
    State(server): State<Server>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    // A terminal is the container's own, whatever is asked for.
    let wanted = Wanted::parse(&pairs(query.as_deref()))?;
    let pod = server.pod(&namespace, &name)?;
    let container = choose(&pod, wanted.container.as_deref())?;
    let seen = server.seen(&pod.metadata.uid);
    let run = seen.run(container).filter(|run| is_running(run));
    let Some(run) = run.map(|run| run.id.clone()) else {
        let message = format!("container {container} not found in pod {name}_{namespace}");
        return Err(Status::failure(Reason::NotFound, message).into());
    };
    let spec = all_containers(&pod.spec).find(|spec| spec.name == container);
    let stays = spec.is_some_and(stays_without_input);
    let upgrade = accept(upgrade, "attach")?;
    Ok(upgrade.on_upgrade(move |socket| serve(server, run, wanted, stays, socket)))
}

/// Whether a client stays when it has said everything: where its words are the only ones, for the answer. Elsewhere the end of
/// its input is how it leaves, as it is in Kubernetes.
fn stays_without_input(container: &Container) -> bool {
    container.stdin && container.stdin_once && !container.tty
}

async fn serve(server: Server, run: ContainerId, wanted: Wanted, stays: bool, socket: WebSocket) {
    let session = server.shared.runtime.attach(&run, wanted.stdin).await;
    let (sink, stream) = socket.split();
    let output = Output::new(sink);
    let AttachSession { stdin, stdout, stderr, resize } = match session {
        Ok(session) => session,
        Err(error) => return output.last(failed(&chain(&error))).await,
    };
    let outputs = async {
        tokio::try_join!(
            output.pump(STDOUT, stdout, wanted.stdout),
            output.pump(STDERR, stderr, wanted.stderr)
        )
    };
    let ended = channels::ended(0);
    let last = tokio::select! {
        written = outputs => written.map_or_else(|error| failed(&error.to_string()), |_| ended),
        left = input(stream, stdin, resize, stays, &output) => match left {
            Left::Input => ended,
            Left::Client => return,
        },
    };
    output.last(last).await;
}

fn failed(why: &str) -> Vec<u8> {
    channels::failed(&Status::internal(format!("error attaching to container: {why}")))
}
