//! `port-forward`: ports of this machine that lead to a pod's.

use std::net::IpAddr;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Parser;
use orch_api::Object as _;
use orch_client::{ForwardError, PortForward};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::output::plain;
use super::pods::Behind;
use super::{Failure, Session, pods};

/// Reach ports of a pod through ports of this machine
///
/// Connections go through the API server to the pod, also to ports that it opens for itself alone, until Ctrl-C or the pod's end. Of
/// an object other than a pod, the first of its running pods is taken; of a service, ports are the service's.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # http://localhost:8080/ is port 80 of the pod
  orchctl port-forward web-7d9f 8080:80

  # The same number on both sides, several at once, ports by their names
  orchctl port-forward workload/web 8080 metrics

  # Any port of this machine that is free: the first line says which
  orchctl port-forward web-7d9f :80

  # For other machines too
  orchctl port-forward web-7d9f 8080:80 --address 0.0.0.0")]
pub(super) struct Args {
    /// A pod, or kind/name
    #[arg(value_name = "POD | KIND/NAME")]
    object: String,
    /// Ports: this machine's and the pod's, by number or by name
    #[arg(value_name = "[LOCAL:]PORT", required = true)]
    ports: Vec<Ports>,
    /// Addresses of this machine to listen on, separated by commas
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', default_value = "127.0.0.1")]
    address: Vec<IpAddr>,
}

/// A port of this machine and one of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ports {
    /// 0 is any that is free, nothing the pod's own number.
    local: Option<u16>,
    remote: Port,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Port {
    Number(u16),
    Name(String),
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (local, remote) = match text.split_once(':') {
            Some((local, remote)) => (Some(if local.is_empty() { "0" } else { local }), remote),
            None => (None, text),
        };
        let number = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is not a port"));
        let remote = match remote.parse() {
            Ok(0) => return Err("a pod has no port 0".into()),
            Ok(number) => Port::Number(number),
            Err(_) if remote.contains(|c: char| c.is_ascii_lowercase()) => Port::Name(remote.to_owned()),
            Err(_) => return Err(format!("{remote:?} is neither a port nor the name of one")),
        };
        Ok(Self { local: local.map(number).transpose()?, remote })
    }
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let behind = pods::behind(session, &args.object, "portforward").await?;
    let object = match &behind {
        Behind::Pod(_) => Value::Null,
        Behind::Group(group) => group.object.clone(),
    };
    let pod = pods::first_running(session, &args.object, behind).await?;
    let mut listeners = Vec::new();
    for ports in &args.ports {
        let (port, remote) = lead(&object, &pod, &ports.remote)?;
        for address in &args.address {
            listeners.push((listen(*address, ports.local.unwrap_or(port)).await?, remote));
        }
    }
    let target = pods::target(session, &pod, "portforward").await?;
    let way = session.client().await?.forward(target).await?;
    for (listener, remote) in listeners {
        let local = listener.local_addr().map_err(|error| Failure::new(error.to_string()))?;
        anstream::println!("Forwarding from {local} -> {remote}");
        tokio::spawn(accept(listener, remote, way.clone()));
    }
    way.lost().await;
    let hint = format!("`orchctl describe pod {}` may say why", pod.name());
    Err(Failure::new(format!("lost connection to pod {}", pod.name())).hint(hint))
}

/// The number of a port of what was named, and that of the pod's port which it leads to: another one behind a service.
fn lead(object: &Value, pod: &Value, port: &Port) -> Result<(u16, u16), Failure> {
    let Some(ports) = object["spec"]["ports"].as_array() else {
        let number = number(pod, port)?;
        return Ok((number, number));
    };
    let is_it = |of: &&Value| match port {
        Port::Number(number) => of["port"] == *number,
        Port::Name(name) => of.text(&["name"]) == name,
    };
    let found = ports.iter().find(is_it).and_then(|of| Some((of, u16::try_from(of["port"].as_u64()?).ok()?)));
    let (of, own) = found.ok_or_else(|| {
        let known: Vec<String> = ports.iter().map(|of| of["port"].to_string()).collect();
        let wanted = match port {
            Port::Number(number) => number.to_string(),
            Port::Name(name) => format!("named {name:?}"),
        };
        Failure::new(format!("{} has no port {wanted}", object.name()))
            .hint(format!("its ports are: {}", known.join(", ")))
    })?;
    // Without an address of its own, it only says where the pods are.
    let target = if object.text(&["spec", "clusterIP"]) == "None" { &Value::Null } else { &of["targetPort"] };
    match target {
        Value::String(name) => Ok((own, number(pod, &Port::Name(name.clone()))?)),
        target => Ok((
            own,
            target.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).unwrap_or(own),
        )),
    }
}

/// The number of a port that one of the pod's containers names.
fn number(pod: &Value, port: &Port) -> Result<u16, Failure> {
    let name = match port {
        Port::Number(number) => return Ok(*number),
        Port::Name(name) => name,
    };
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let ports: Vec<&Value> =
        containers.flat_map(|container| container["ports"].as_array().into_iter().flatten()).collect();
    let found = ports.iter().find(|port| port.text(&["name"]) == name);
    let found = found.and_then(|port| u16::try_from(port["containerPort"].as_u64()?).ok());
    found.ok_or_else(|| {
        let names: Vec<&str> =
            ports.iter().map(|port| port.text(&["name"])).filter(|name| !name.is_empty()).collect();
        let hint = match names.as_slice() {
            [] => "its containers name no ports: give the number".to_owned(),
            names => format!("its ports are: {}", names.join(", ")),
        };
        Failure::new(format!("pod {} has no port named {name:?}", pod.name())).hint(hint)
    })
}

async fn listen(address: IpAddr, port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((address, port)).await.map_err(|error| {
        let failure = Failure::new(format!("cannot listen on port {port} of {address}: {error}"));
        failure.hint(
            "another port can be given before the pod's, as in 8081:80; :80 takes any that is free"
                .to_owned(),
        )
    })
}

async fn accept(listener: TcpListener, remote: u16, way: PortForward) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(carry(stream, remote, way.clone()))),
            Err(error) => {
                anstream::eprintln!("error: a connection could not be taken: {error}");
                // Out of descriptors, perhaps: others have to end first.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// A connection that fails does not end the others.
async fn carry(stream: TcpStream, remote: u16, way: PortForward) {
    // Whatever is asked for by hand is small.
    let _ = stream.set_nodelay(true);
    match way.connect(remote, stream).await {
        // A client that closes before it has everything is an everyday thing; a lost way is told once, elsewhere.
        Ok(()) | Err(ForwardError::Local(_) | ForwardError::Lost) => {}
        // The node's words begin in the same way.
        Err(error) => anstream::eprintln!("error: {}", plain(error.to_string().trim_start_matches("error "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_written_in_several_ways() {
        for (text, local, remote) in [
            ("80", None, Port::Number(80)),
            ("8080:80", Some(8080), Port::Number(80)),
            (":80", Some(0), Port::Number(80)),
            ("0:80", Some(0), Port::Number(80)),
            ("http", None, Port::Name("http".into())),
            ("8080:http", Some(8080), Port::Name("http".into())),
        ] {
            assert_eq!(text.parse(), Ok(Ports { local, remote }), "{text}");
        }
        for wrong in ["", "0", "80:", "70000", "http:80", "1:2:3", "-1"] {
            assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_of_a_service_lead_to_those_of_the_pod() {
        let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [
            {"name": "a", "ports": [{"name": "http", "containerPort": 8080}]}]}});
        let service = |address: &str| {
            json!({"metadata": {"name": "web"}, "spec": {"clusterIP": address, "ports": [
                {"name": "web", "port": 80, "targetPort": "http"}, {"name": "tls", "port": 443, "targetPort": 8443}, {"port": 9}]}})
        };
        let of = |address: &str, port: &str| {
            lead(&service(address), &pod, &port.parse::<Ports>().unwrap().remote).ok()
        };
        assert_eq!(
            ["80", "443", "9", "web"].map(|port| of("10.0.0.1", port).unwrap()),
            [(80, 8080), (443, 8443), (9, 9), (80, 8080)]
        );
        assert_eq!(of("None", "443"), Some((443, 443)));
        let missing = lead(&service(""), &pod, &Port::Number(81)).unwrap_err().plain();
        assert!(missing.contains("web has no port 81") && missing.contains("80, 443, 9"), "{missing}");
        assert_eq!(lead(&Value::Null, &pod, &Port::Name("http".into())).ok(), Some((8080, 8080)));
    }

    #[test]
    fn a_ports_name_is_looked_up_in_the_pod() {
        let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [
            {"name": "a"}, {"name": "b", "ports": [{"containerPort": 80}, {"name": "http", "containerPort": 8080}]},
        ]}});
        let number = |name: &str| number(&pod, &Port::Name(name.into()));
        assert_eq!(number("http").ok(), Some(8080));
        assert!(format!("{:?}", number("https").err().unwrap()).contains("its ports are: http"));
    }
}
