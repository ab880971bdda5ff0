//! The trait's verbs.

use std::{io::Write as _, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};

use super::{Behaviour, SimulatedRuntime, Verb, attach, exec, images, program::Program};
use crate::{
    AttachSession, Connection, ContainerId, ContainerSpec, ContainerState, ContainerStats, ExecRequest,
    ExecSession, ImageStatus, Observed, PullOptions, Runtime, RuntimeError, RuntimeEvent, SandboxId,
    SandboxSpec, SandboxStatus, Version,
};

#[async_trait]
impl Runtime for SimulatedRuntime {
    async fn version(&self) -> Result<Version, RuntimeError> {
        self.enter(Verb::Version, "").await?;
        Ok(Version { name: "simulated".into(), version: env!("CARGO_PKG_VERSION").into() })
    }

    async fn ensure_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxStatus, RuntimeError> {
        self.enter(Verb::EnsureSandbox, spec.id.as_str()).await?;
        Ok(self.shared.world.lock().ensure_sandbox(spec, self.now()))
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.enter(Verb::RemoveSandbox, id.as_str()).await?;
        self.shared.world.lock().remove_sandbox(id);
        Ok(())
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        self.enter(Verb::CreateContainer, spec.id.as_str()).await?;
        let program = self.program(spec);
        let mut world = self.shared.world.lock();
        let reference = images::full_reference(&spec.image);
        let image = world.images.get(&reference).cloned();
        let image = image.ok_or_else(|| RuntimeError::ImageNotFound { image: spec.image.clone() })?;
        world.create_container(spec, &image, program, self.now())
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let entered = self.enter(Verb::StartContainer, id.as_str()).await;
        if let Err(RuntimeError::StartFailed { message, .. }) = &entered {
            self.shared.world.lock().fail_start(id, message, self.now());
        }
        entered?;
        let missing = {
            let world = self.shared.world.lock();
            let container = world.container(id)?;
            container.program.missing && container.status.state == ContainerState::Created
        };
        if missing {
            let message = "no such file or directory".to_owned();
            self.shared.world.lock().fail_start(id, &message, self.now());
            return Err(RuntimeError::StartFailed { id: id.to_string(), message });
        }
        let started = self.shared.world.lock().start(id, self.now())?;
        if let Some(program) = started {
            self.play(id, program);
        }
        Ok(())
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.enter(Verb::StopContainer, id.as_str()).await?;
        let Ok((ignores, mut exited)) =
            self.shared.world.lock().container(id).map(|c| (c.program.ignores_stop, c.exited.subscribe()))
        else {
            return Ok(());
        };
        if grace.is_zero() {
            self.finish(id, 137, false);
        } else if !ignores {
            self.finish(id, 143, false);
        } else if self.is_running(id)
            && tokio::time::timeout(grace, exited.wait_for(|exited| *exited)).await.is_err()
        {
            self.finish(id, 137, false);
        }
        Ok(())
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.enter(Verb::RemoveContainer, id.as_str()).await?;
        self.finish(id, 137, false);
        self.shared.world.lock().remove_container(id);
        Ok(())
    }

    async fn exec(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        self.enter(Verb::Exec, id.as_str()).await?;
        self.shared.world.lock().container(id)?;
        if !self.is_running(id) {
            return Err(RuntimeError::NotRunning { id: id.to_string() });
        }
        let program = Program::of(&request.command);
        if program.missing {
            let message = "no such file or directory".into();
            return Err(RuntimeError::StartFailed { id: id.to_string(), message });
        }
        Ok(exec::session(&request, program))
    }

    async fn attach(&self, id: &ContainerId, stdin: bool) -> Result<AttachSession, RuntimeError> {
        self.enter(Verb::Attach, id.as_str()).await?;
        attach::session(&mut self.shared.world.lock(), id, stdin)
    }

    async fn connect(&self, id: &SandboxId, port: u16) -> Result<Connection, RuntimeError> {
        self.enter(Verb::Connect, id.as_str()).await?;
        match self.shared.world.lock().serves(id)? {
            true => Ok(attach::echo()),
            false => {
                let message = "IPv4: connection refused".to_owned();
                Err(RuntimeError::Refused { id: id.to_string(), port, message })
            }
        }
    }

    async fn image_status(&self, image: &str) -> Result<Option<ImageStatus>, RuntimeError> {
        self.enter(Verb::ImageStatus, image).await?;
        Ok(self.shared.world.lock().images.get(&images::full_reference(image)).cloned())
    }

    async fn pull_image(&self, image: &str, _: &PullOptions) -> Result<ImageStatus, RuntimeError> {
        self.enter(Verb::PullImage, image).await?;
        let reference = images::full_reference(image);
        let status = images::made_up(reference.clone());
        self.shared.world.lock().images.insert(reference, status.clone());
        Ok(status)
    }

    async fn list_images(&self) -> Result<Vec<ImageStatus>, RuntimeError> {
        self.enter(Verb::ListImages, "").await?;
        Ok(self.shared.world.lock().images.values().cloned().collect())
    }

    async fn remove_image(&self, image: &str) -> Result<(), RuntimeError> {
        self.enter(Verb::RemoveImage, image).await?;
        self.shared.world.lock().images.remove(&images::full_reference(image));
        Ok(())
    }

    async fn observe(&self) -> Result<Observed, RuntimeError> {
        self.enter(Verb::Observe, "").await?;
        Ok(self.shared.world.lock().observe())
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let changes = BroadcastStream::new(self.shared.events.subscribe()).map(|event| match event {
            Ok(event) => event,
            Err(BroadcastStreamRecvError::Lagged(_)) => RuntimeEvent::Resync,
        });
        futures::stream::iter([RuntimeEvent::Resync]).chain(changes).boxed()
    }

    async fn stats(&self) -> Result<Vec<ContainerStats>, RuntimeError> {
        self.enter(Verb::Stats, "").await?;
        let at = self.now();
        let observed = self.shared.world.lock().observe();
        let running = observed.containers.into_iter().filter_map(|container| match container.state {
            ContainerState::Running { started_at } => Some((container.id, started_at)),
            _ => None,
        });
        Ok(running.map(|(id, started_at)| self.made_up_stats(id, started_at, at)).collect())
    }
}

impl SimulatedRuntime {
    /// What the script says the container does, else what its command says.
    fn program(&self, spec: &ContainerSpec) -> Program {
        let matches = |behaviour: &&Behaviour| {
            spec.id.as_str().contains(&behaviour.matching) || spec.image.contains(&behaviour.matching)
        };
        match self.shared.simulation.script.behaviours.iter().find(matches) {
            Some(scripted) => Program {
                output: scripted.output.clone(),
                ends_after: scripted.exit_after_millis.map(Duration::from_millis),
                code: if scripted.out_of_memory { 137 } else { scripted.exit_code },
                ignores_stop: scripted.ignores_stop,
                out_of_memory: scripted.out_of_memory,
                ..Program::default()
            },
            None => Program::of(&[spec.command.as_slice(), spec.args.as_slice()].concat()),
        }
    }

    /// Lets a started program run its course.
    fn play(&self, id: &ContainerId, program: Program) {
        self.write(id, &program.output);
        if program.copies_input && self.copy_input(id, &program) {
            return;
        }
        let Some(time) = program.ends_after else { return };
        let (runtime, id) = (self.clone(), id.clone());
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            runtime.finish(&id, program.code, program.out_of_memory);
        });
    }

    /// What the process writes reaches the log, and those who are attached.
    pub(super) fn write(&self, id: &ContainerId, lines: &[String]) {
        self.write_log(id, lines);
        let world = self.shared.world.lock();
        let output = world.container(id).ok().and_then(|container| container.output.as_ref());
        for line in lines {
            // Nobody attached is fine.
            output.into_iter().for_each(|output| drop(output.send(format!("{line}\n").into())));
        }
    }

    /// Lets a program that copies its input do so until that ends, if the container has any.
    fn copy_input(&self, id: &ContainerId, program: &Program) -> bool {
        let Some(mut lines) = attach::input(&mut self.shared.world.lock(), id) else { return false };
        let (runtime, id, code) = (self.clone(), id.clone(), program.code);
        tokio::spawn(async move {
            while let Some(line) = lines.next().await {
                runtime.write(&id, &[line]);
            }
            runtime.finish(&id, code, false);
        });
        true
    }

    /// A log that cannot be written is lost, as it is on a real node whose disk is full.
    fn write_log(&self, id: &ContainerId, lines: &[String]) {
        if !self.shared.simulation.write_logs || lines.is_empty() {
            return;
        }
        let path = self.shared.world.lock().container(id).ok().and_then(|c| c.spec.log_path.clone());
        let Some(path) = path else { return };
        let text: String = lines.iter().map(|line| format!("{:.9} stdout F {line}\n", self.now())).collect();
        let file = std::fs::File::options().append(true).create(true).open(&path);
        if let Err(error) = file.and_then(|mut file| file.write_all(text.as_bytes())) {
            tracing::warn!(path = %path.display(), %error, "simulated container's log cannot be written");
        }
    }

    fn is_running(&self, id: &ContainerId) -> bool {
        let world = self.shared.world.lock();
        world.container(id).is_ok_and(|c| matches!(c.status.state, ContainerState::Running { .. }))
    }

    /// One hundredth of a CPU, and memory that follows from the id.
    fn made_up_stats(&self, id: ContainerId, since: jiff::Timestamp, at: jiff::Timestamp) -> ContainerStats {
        let run = u64::try_from(at.duration_since(since).as_nanos()).unwrap_or(0);
        let memory_bytes =
            (4 << 20) + super::world::chance(self.shared.simulation.seed, id.as_str()) % (16 << 20);
        ContainerStats {
            id,
            at,
            cpu_nanos: run / 100,
            memory_bytes,
            working_set_bytes: memory_bytes / 2,
            pids: 1,
        }
    }
}
