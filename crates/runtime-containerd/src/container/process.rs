//! What a container runs: the image's say and the spec's, merged as Kubernetes does.

use oci_spec::image::Config;
use orch_runtime::{ContainerSpec, EnvVar, RuntimeError};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SIGTERM: u32 = 15;

/// `command` replaces entrypoint and cmd, `args` replaces cmd ("Define a Command and Arguments for a Container").
pub(super) fn arguments(spec: &ContainerSpec, image: &Config) -> Result<Vec<String>, RuntimeError> {
    let entrypoint = image.entrypoint().as_deref().unwrap_or_default();
    let cmd = image.cmd().as_deref().unwrap_or_default();
    let arguments = match (spec.command.as_slice(), spec.args.as_slice()) {
        ([], []) => [entrypoint, cmd].concat(),
        ([], args) => [entrypoint, args].concat(),
        (command, args) => [command, args].concat(),
    };
    match arguments.first() {
        Some(program) if !program.is_empty() => Ok(arguments),
        _ => {
            Err(RuntimeError::invalid("container.command", "neither the spec nor the image says what to run"))
        }
    }
}

/// `NAME=value`, each name once, in the order of first mention.
pub(super) fn environment(spec: &ContainerSpec, image: &Config, hostname: Option<&str>) -> Vec<String> {
    let image = image.env().as_deref().unwrap_or_default();
    let mut environment: Vec<String> = Vec::with_capacity(image.len() + spec.env.len() + 2);
    let mut set = |entry: String| {
        let name = entry.split('=').next().unwrap_or_default().to_owned();
        let same = |other: &&mut String| other.split('=').next() == Some(name.as_str());
        match environment.iter_mut().find(same) {
            Some(present) => *present = entry,
            None => environment.push(entry),
        }
    };
    set(PATH.to_owned());
    if let Some(hostname) = hostname {
        set(format!("HOSTNAME={hostname}"));
    }
    if spec.terminal {
        set("TERM=xterm".to_owned());
    }
    image.iter().for_each(|entry| set(entry.clone()));
    spec.env.iter().for_each(|EnvVar { name, value }| set(format!("{name}={value}")));
    environment
}

pub(super) fn working_dir(spec: &ContainerSpec, image: &Config) -> String {
    let dir = spec.working_dir.as_ref().or(image.working_dir().as_ref()).filter(|dir| !dir.is_empty());
    dir.cloned().unwrap_or_else(|| "/".into())
}

/// The number of the image's stop signal, as in `SIGINT`, `INT`, `2` or `SIGRTMIN+3`; SIGTERM if it is none of these.
pub(super) fn stop_signal(image: &Config) -> u32 {
    let Some(name) = image.stop_signal().as_deref().filter(|name| !name.is_empty()) else { return SIGTERM };
    let name = name.trim().to_ascii_uppercase();
    let full = if name.starts_with("SIG") { name.clone() } else { format!("SIG{name}") };
    // glibc's first real-time signal, as in containerd.
    let realtime = full.strip_prefix("SIGRTMIN+").and_then(|n| n.parse::<u32>().ok()).map(|n| 34 + n);
    let named =
        || full.parse::<nix::sys::signal::Signal>().ok().and_then(|signal| u32::try_from(signal as i32).ok());
    name.parse()
        .ok()
        .or(realtime)
        .or_else(named)
        .filter(|signal| (1..=64).contains(signal))
        .unwrap_or(SIGTERM)
}

#[cfg(test)]
mod tests {
    use orch_runtime::conformance;

    use super::*;

    fn image(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    fn spec(command: &[&str], args: &[&str]) -> ContainerSpec {
        let mut spec = conformance::container(&conformance::sandbox("pod"), "image", command);
        spec.args = args.iter().map(|word| (*word).to_owned()).collect();
        spec
    }

    #[test]
    fn command_and_args_override_as_in_kubernetes() {
        let image = image(r#"{"Entrypoint": ["/ep"], "Cmd": ["foo", "bar"]}"#);
        let merged = |command: &[&str], args: &[&str]| arguments(&spec(command, args), &image).unwrap();
        assert_eq!(merged(&[], &[]), ["/ep", "foo", "bar"]);
        assert_eq!(merged(&["/other"], &[]), ["/other"]);
        assert_eq!(merged(&[], &["zoo", "boo"]), ["/ep", "zoo", "boo"]);
        assert_eq!(merged(&["/other"], &["zoo", "boo"]), ["/other", "zoo", "boo"]);
        assert!(arguments(&spec(&[], &[]), &Config::default()).is_err());
        assert!(arguments(&spec(&[""], &[]), &Config::default()).is_err());
    }

    #[test]
    fn the_specs_environment_wins() {
        let image = image(r#"{"Env": ["PATH=/bin", "A=1", "B=2"]}"#);
        let mut spec = spec(&["x"], &[]);
        spec.env = [("B", "3"), ("C", "x=y"), ("C", "z")]
            .map(|(n, v)| EnvVar { name: n.into(), value: v.into() })
            .into();
        assert_eq!(
            environment(&spec, &image, Some("web")),
            ["PATH=/bin", "HOSTNAME=web", "A=1", "B=3", "C=z"]
        );
    }

    #[test]
    fn stop_signals_have_many_spellings() {
        let signal = |name: &str| stop_signal(&image(&format!(r#"{{"StopSignal": "{name}"}}"#)));
        assert_eq!([signal("SIGINT"), signal("quit"), signal("9"), signal("SIGRTMIN+3")], [2, 3, 9, 37]);
        assert_eq!([signal("nonsense"), signal("99"), stop_signal(&Config::default())], [15, 15, 15]);
    }
}
