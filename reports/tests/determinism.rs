//! `run --check-determinism` over a stack that leaks: this program is the command line of such a stack where it is told to
//! be, and otherwise calls itself so. What leaks is equal within one process, so that only a second one shows it.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test, and a leak to be found")]

#[cfg(live)]
fn main() {}

#[cfg(not(live))]
fn main() -> std::process::ExitCode {
    leaky::main()
}

#[cfg(not(live))]
mod leaky {
    use sim::history::Fact;
    use sim::stack::{Client, Deployment, Process, Role, Setting, SettingKind, Stack, Task};
    use std::path::Path;
    use std::process::{Command, ExitCode, Output};
    use std::sync::Arc;
    use std::time::Duration;

    /// Set where this program is to be the stack's command line.
    const AS_PROGRAM: &str = "LEAKY_AS_PROGRAM";

    /// A server that says after a second which process of the machine it is in, unless it keeps that to itself.
    struct Leaky;

    const ROLES: [Role; 1] = [Role { name: "server", why: "says where it is", count: 1, cores: 1 }];
    const SETTINGS: [Setting; 1] = [Setting {
        name: "leaky.discreet",
        why: "whether it keeps to itself what is not of the world",
        default: "false",
        kind: SettingKind::Flag,
    }];

    impl Stack for Leaky {
        fn name(&self) -> &'static str {
            "leaky"
        }

        fn roles(&self) -> &'static [Role] {
            &ROLES
        }

        fn settings(&self) -> &'static [Setting] {
            &SETTINGS
        }

        fn boot(&self, process: Process) -> Task {
            Box::pin(async move {
                let discreet = process.deployment.flag("leaky.discreet");
                sim::task::spawn(async move {
                    let pause = sim::node::stream("pause").duration(Duration::ZERO..Duration::from_secs(1));
                    sim::time::sleep(pause).await;
                    let process = if discreet { 0 } else { std::process::id() };
                    sim::node::record(Fact::Note { text: format!("process {process}") });
                });
                std::future::pending::<()>().await;
            })
        }

        fn client(&self, _: Client) -> Task {
            Box::pin(async {})
        }

        fn drained(&self, _: Arc<Deployment>) -> Task<bool> {
            Box::pin(async { true })
        }
    }

    const SCENARIO: &str = r#"
name = "leaky/leaky"
why = "Nothing happens but a leak."
duration = "2s"
drain = "1s"
nodes = { server = { count = 1 }, client = { count = 1 } }
workload = { clients = 1, rate = "1/s" }
"#;

    pub(crate) fn main() -> ExitCode {
        if std::env::var_os(AS_PROGRAM).is_some() {
            return hogwash::main(Leaky);
        }
        a_leak_is_named_with_its_node_its_task_and_the_draws_before_it();
        ExitCode::SUCCESS
    }

    fn a_leak_is_named_with_its_node_its_task_and_the_draws_before_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("leaky.toml"), SCENARIO).unwrap();

        let output = hogwash(folder.path(), &["--set", "leaky.discreet=true"]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.contains("the same history in another process"), "{told}");
        let runs = scenarios::store::Store::new(folder.path().join("target/hogwash")).runs();
        assert!(runs.iter().all(|run| run.trace().is_none()), "nobody needs the draws any more");

        let output = hogwash(folder.path(), &[]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{told}");
        for words in [
            "NOT the same history: digest ",
            "then recorded: ",
            "then now: ",
            " server-1 note text=process ",
            " on server-1, started at reports/tests/determinism.rs:",
            "until then both runs drew alike; what differs came from outside the world",
            "the last draws before it: ",
            "node/server-1/1/pause #1",
        ] {
            assert!(told.contains(words), "`{words}` is not in: {told}");
        }
    }

    /// `run --check-determinism` of the leaky scenario, in `folder`.
    fn hogwash(folder: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(AS_PROGRAM, "yes").current_dir(folder);
        command.args(["run", "leaky.toml", "--check-determinism"]).args(arguments).output().unwrap()
    }
}
