//! The command line: verbs and flags, and nothing of what they do.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Can this system really survive that? Runs a whole service stack on a simulated network, clock and disk, breaks it in
/// correlated ways, and replays any failure from one line.
///
/// Without a verb: runs correlated/shared-power-loss as it is and as its variant unsafe-acks, and shows what P^N says.
#[derive(Debug, Parser)]
#[command(name = "hogwash", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Flags that every verb takes.
    #[command(flatten)]
    pub common: Common,
}

const EXIT_CODES: &str = "\
Exit codes: 0 all held, as expected · 1 violation · 2 usage or scenario error · 3 not deterministic · 4 nothing ran ·
5 undecided or not exercised, with --strict · 101 bug in hogwash · 130 interrupted, partial results kept";

/// Flags that every verb takes.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// How results are written to stdout
    #[arg(long, global = true, value_enum, default_value_t = MessageFormat::Human, help_heading = "Output")]
    pub message_format: MessageFormat,
    /// Where runs are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "target/hogwash",
        help_heading = "Output"
    )]
    pub store: PathBuf,
    /// Whether to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, help_heading = "Output")]
    pub color: Color,
    /// More on stderr: -v for what hogwash does, -vv for what the stack says
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
    /// Only results and errors
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MessageFormat {
    /// For people.
    Human,
    /// JSON lines.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Where there is a terminal and NO_COLOR is not set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run one scenario once
    #[cfg(not(live))]
    #[command(after_help = "\
Examples:
  hogwash run steady/baseline
  hogwash run correlated/shared-power-loss --variant unsafe-acks --seed 7
  hogwash run my-scenario.toml --set queue.durability=memory")]
    Run(RunArgs),
    #[cfg(not(live))]
    /// Run a stored run again and compare the two histories
    #[command(after_help = "\
Examples:
  hogwash replay target/hogwash/RUN-DIR
  hogwash replay scenarios/regressions/lost-ack.toml")]
    Replay(ReplayArgs),
    /// Run scenarios over many seeds, on all cores, and tell violations apart
    #[cfg(not(live))]
    #[command(after_help = "\
Examples:
  hogwash fuzz swarm/partitions --seeds 200
  hogwash fuzz --seeds 100 --shard 1/4 --seed-from-commit $(git rev-parse HEAD) --time-limit 10min")]
    Fuzz(FuzzArgs),
    /// Join the shards of one batch: the summary that one machine would have written
    #[cfg(not(live))]
    #[command(after_help = "\
Examples:
  hogwash merge shard-1 shard-2 shard-3
  hogwash merge target/hogwash --batch 4f0c --partial
  hogwash merge s3://bucket/nightly/1 s3://bucket/nightly/2")]
    Merge(MergeArgs),
    /// Make a failing plan smaller: fewer faults, requests and nodes, the same violation
    #[cfg(not(live))]
    #[command(after_help = "\
Examples:
  hogwash shrink target/hogwash/RUN-DIR
  hogwash shrink target/hogwash/RUN-DIR --save")]
    Shrink(ShrinkArgs),
    /// Say why a run fails: the faults that it takes, the settings that would hold it, until when it can be saved
    #[cfg(not(live))]
    #[command(after_help = "\
Examples:
  hogwash explain target/hogwash/RUN-DIR
  hogwash explain scenarios/regressions/lost-ack.toml")]
    Explain(ExplainArgs),
    /// Turn a stored run into a page, or into a file for another tool
    #[cfg(not(live))]
    #[command(after_help = "\
Examples:
  hogwash report latest
  hogwash report latest --check
  hogwash report target/hogwash/RUN-DIR --format perfetto --output trace.json")]
    Report(ReportArgs),
    /// Set two stored runs side by side; exit 1 where their verdicts differ
    #[cfg(not(live))]
    #[command(after_help = "\
Examples:
  hogwash compare target/hogwash/RUN-DIR latest")]
    Compare(CompareArgs),
    /// Review the reliability of a stack: a claim such as P^N < R beside what the real stack does, and what would help
    #[cfg(not(live))]
    #[command(after_help = "\
Examples:
  hogwash review queue
  hogwash review reports/reviews/region.toml
  hogwash review my-review.toml --seeds 100 --message-format json")]
    Review(ReviewArgs),
    /// Ask a model of the reliability review by itself; without a model: what models there are
    #[command(after_help = "\
Examples:
  hogwash calc
  hogwash calc k-of-n availability=0.999 needed=2 nodes=3
  hogwash calc beta-factor failure=1% beta=5% nodes=3 --message-format json")]
    Calc(CalcArgs),
    /// Say what an incident log proves: mean times, repairs, clean hours, whether failures come together
    #[command(after_help = "\
The log is a table with the columns start, end, component and cause; an empty end is an incident that is still open.

Examples:
  hogwash evidence incidents.csv
  hogwash evidence incidents.csv --watched-from 2024-01-01 --watched-until 2025-01-01 --components 1800 \\
    --initiating-events events.toml")]
    Evidence(EvidenceArgs),
    /// List scenarios and their variants, settings and laws
    #[cfg(not(live))]
    List(ListArgs),
    /// Read scenario and plan files and say what is wrong with them
    #[cfg(not(live))]
    Check(CheckArgs),
    /// Run the stack for real, on loopback
    #[cfg(live)]
    #[command(after_help = "\
Examples:
  cargo live serve
  cargo live serve --data /tmp/stack --base-port 19000 --set queue.lease=5s")]
    Serve(ServeArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A built-in scenario (see `hogwash list`) or a path to a .toml file
    pub scenario: String,
    /// The scenario's variant
    #[arg(long)]
    pub variant: Option<String>,
    /// The seed of all chance
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Change a setting of the stack
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// End at the first event that breaks a law, where the scenario does not expect it
    #[arg(long, conflicts_with = "check_determinism")]
    pub until_broken: bool,
    /// Run a second time, in another process, and compare the histories
    #[arg(long)]
    pub check_determinism: bool,
    /// Fail (exit 5) where a law is undecided, or one that the scenario names was not exercised
    #[arg(long)]
    pub strict: bool,
    /// Show what was accepted, done, received, counted and billed, by customer, and what is missing where
    #[arg(long)]
    pub ledger: bool,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A plan file, or the folder of a stored run
    pub run: PathBuf,
    /// Fail (exit 5) where a law is undecided, or one that the scenario names was not exercised
    #[arg(long)]
    pub strict: bool,
}

/// `fuzz`.
#[cfg(not(live))]
#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// Built-in scenarios or paths to .toml files; all built-in ones where there are none
    pub scenarios: Vec<String>,
    /// The variant to run of each
    #[arg(long)]
    pub variant: Option<String>,
    /// How many seeds of each
    #[arg(long, default_value_t = 20)]
    pub seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    pub base: u64,
    /// Take the first seed from a commit's hash: random to people, the same for everybody
    #[arg(long, value_name = "HASH", conflicts_with = "base")]
    pub seed_from_commit: Option<String>,
    /// Only the k-th of n parts of the batch
    #[arg(long, value_name = "K/N", default_value = "1/1")]
    pub shard: scenarios::fuzz::Shard,
    /// Make half of the plans of earlier ones that came into new situations: a mark, under some fault, on some tier
    #[arg(long)]
    pub guide: bool,
    /// Runs at once [default: the number of cores]
    #[arg(long)]
    pub jobs: Option<usize>,
    /// Begin no run after this long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub time_limit: Option<u64>,
    /// Change a setting of the stack
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// Run every plan twice and compare the histories
    #[arg(long)]
    pub check_determinism: bool,
    /// Fail (exit 1) where no run reaches some mark of the stack
    #[arg(long)]
    pub require_coverage: bool,
    /// Copy the store to this folder of an object store at the end, and go on from what is there already: file:///… or s3://…
    #[arg(long, value_name = "URL")]
    pub publish: Option<String>,
}

/// `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The folders that `fuzz --store DIR` wrote, or the URLs of `--publish`, one or more shards in each
    #[arg(required = true, value_name = "DIR|URL")]
    pub stores: Vec<String>,
    /// Which batch, by the beginning of its name, where there are several
    #[arg(long)]
    pub batch: Option<String>,
    /// Merge what there is, where runs are missing
    #[arg(long)]
    pub partial: bool,
    /// Fail (exit 1) where no run reaches some mark of the stack
    #[arg(long)]
    pub require_coverage: bool,
}

/// `shrink`.
#[cfg(not(live))]
#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// A plan file, or the folder of a stored run
    pub run: PathBuf,
    /// Keep the smaller plan under scenarios/regressions/
    #[arg(long)]
    pub save: bool,
    /// Which violation to keep, by its fingerprint [default: the run's first]
    #[arg(long)]
    pub fingerprint: Option<String>,
    /// Do not say why what is left still fails
    #[arg(long)]
    pub no_explain: bool,
    /// Runs at once [default: the number of cores]
    #[arg(long)]
    pub jobs: Option<usize>,
}

/// `explain`.
#[cfg(not(live))]
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A plan file, or the folder of a stored run
    pub run: PathBuf,
    /// Which violation to explain, by its fingerprint [default: the run's first]
    #[arg(long)]
    pub fingerprint: Option<String>,
    /// Runs at once [default: the number of cores]
    #[arg(long)]
    pub jobs: Option<usize>,
}

/// `report`.
#[cfg(not(live))]
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The folder of a stored run, its name, the beginning of one, or `latest`
    #[arg(value_name = "RUN-DIR")]
    pub run: String,
    /// Hold its history to every law again, and say whether the verdicts are those that were recorded
    #[arg(long, conflicts_with_all = ["format", "output"])]
    pub check: bool,
    /// What to make of it
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    pub format: ReportFormat,
    /// Where to write it [default: report.html in the run's folder, or stdout]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `compare`.
#[cfg(not(live))]
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The folder of a stored run, its name, the beginning of one, or `latest`
    #[arg(value_name = "A")]
    pub one: String,
    /// Another
    #[arg(value_name = "B")]
    pub other: String,
}

/// What a run can be turned into.
#[cfg(not(live))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One page with a picture, for people; needs nothing but a browser.
    Html,
    /// A trace for the viewer at <https://ui.perfetto.dev>.
    Perfetto,
    /// JUnit XML: a case for each law.
    Junit,
    /// The run's JSON line, with its ledger and latencies.
    Json,
    /// GitHub's annotations on stdout, and a summary where GITHUB_STEP_SUMMARY says.
    Github,
    /// What was accepted, done, received, counted and billed, by customer, and what is missing where.
    Ledger,
}

/// `review`.
#[cfg(not(live))]
#[derive(Debug, Args)]
pub struct ReviewArgs {
    /// The review: a .toml file, or `queue` or `region`, which are built in
    pub file: PathBuf,
    /// Seeds of each event, in place of the file's
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: Option<u64>,
    /// Runs at once [default: the number of cores]
    #[arg(long)]
    pub jobs: Option<usize>,
}

/// `calc`.
#[derive(Debug, Args)]
pub struct CalcArgs {
    /// The model; `hogwash calc` alone names all of them
    pub model: Option<String>,
    /// Its arguments
    #[arg(value_name = "KEY=VALUE", value_parser = argument)]
    pub arguments: Vec<(String, String)>,
}

/// `evidence`.
#[derive(Debug, Args)]
pub struct EvidenceArgs {
    /// The incident log, a .csv file
    pub log: PathBuf,
    /// When watching began [default: the first incident's start]
    #[arg(long, value_name = "INSTANT")]
    pub watched_from: Option<String>,
    /// When watching ended [default: the last instant of the log]
    #[arg(long, value_name = "INSTANT")]
    pub watched_until: Option<String>,
    /// How many components were watched, those that never failed included [default: those in the log]
    #[arg(long, value_name = "COUNT")]
    pub components: Option<u64>,
    /// Incidents that start within so long of the one before belong to one event
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration)]
    pub burst: u64,
    /// How often such intervals cover the truth
    #[arg(long, value_name = "SHARE", default_value_t = 0.95)]
    pub confidence: f64,
    /// Write the causes as initiating events of a review
    #[arg(long, value_name = "FILE")]
    pub initiating_events: Option<PathBuf>,
}

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print a JSON schema of scenario files instead, for editors
    #[arg(long)]
    pub schema: bool,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Scenario or plan files
    #[arg(required_unless_present = "explain")]
    pub files: Vec<PathBuf>,
    /// Print every key that a scenario file can have, with what it is for and an example
    #[arg(long)]
    pub explain: bool,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where the nodes keep their files
    #[arg(long, value_name = "DIR", default_value = "target/hogwash-live")]
    pub data: PathBuf,
    /// Ports are taken from here on, a hundred a node; the first node's door is this plus 80
    #[arg(long, value_name = "PORT", default_value_t = 18_000)]
    pub base_port: u16,
    /// Change a setting of the stack
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// How many nodes of a role to serve, where that is not the stack's own number
    #[arg(long, value_name = "ROLE=COUNT", value_parser = count)]
    pub nodes: Vec<(String, u32)>,
    /// Serve the nodes of this role alone; other processes, given the same other flags, serve the rest
    #[arg(long)]
    pub role: Option<String>,
    /// Of that role serve this node alone, counted from 1
    #[arg(long, value_name = "NUMBER", requires = "role")]
    pub index: Option<u32>,
}

fn count(text: &str) -> Result<(String, u32), String> {
    let wrong = "a role's nodes are ROLE=COUNT, such as usage=3";
    let (role, count) = text.split_once('=').ok_or(wrong)?;
    Ok((role.to_owned(), count.parse().map_err(|_| wrong)?))
}

fn argument(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("an argument is KEY=VALUE, such as nodes=3")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn duration(text: &str) -> Result<u64, String> {
    sim::duration_text::parse(text).map_err(|error| error.to_string())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or("a setting is KEY=VALUE, such as queue.durability=memory")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
