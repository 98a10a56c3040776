//! What the laws are worth: plants the bugs of `invariants/mutants/`, one at a time, in a copy of the source, and says
//! which law catches each, after how many seeds and how much CPU.
//!
//! ```text
//! cargo run -p hogwash-scenarios --example mutants                 every mutant, 500 seeds at most, a table on stdout
//! cargo run -p hogwash-scenarios --example mutants -- paxos lease  those whose names begin so
//! cargo run -p hogwash-scenarios --example mutants -- --seeds 100
//! cargo run -p hogwash-scenarios --example mutants -- --check      only whether every patch still applies
//! ```
//!
//! The copy is built without the command line, which takes longest; what runs the seeds there is this program.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it works on files of the machine and measures it"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it writes a table")]

#[cfg(live)]
fn main() {}

#[cfg(not(live))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut seeds_max, mut check, mut names) = (500, false, Vec::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--seeds" => seeds_max = arguments.next().ok_or("`--seeds` needs a number")?.parse()?,
            "--fuzz" => return fuzz::fuzz(arguments.next().ok_or("`--fuzz` needs a number")?.parse()?),
            name => names.push(name.to_owned()),
        }
    }
    workshop::work(&names, seeds_max, check)
}

/// Within the copy: runs seeds until a law is broken.
#[cfg(not(live))]
mod fuzz {
    use hogwash_scenarios as scenarios;
    use scenarios::guarded::{self, Ending, Guarded};
    use scenarios::{library, planner};
    use sim::stack::Stack;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    /// What every mutant is tried with: one seed of each in turn.
    const SCENARIOS: [&str; 2] = ["swarm/everything", "swarm/partitions"];

    /// Writes the first seed that breaks something, and the laws that it breaks; nothing where none of so many does.
    pub(crate) fn fuzz(seeds_max: u64) -> Result<(), Box<dyn std::error::Error>> {
        let stack: Arc<dyn Stack> = Arc::new(system::ImageStack);
        for number in 0..seeds_max {
            let turn = usize::try_from(number)? % SCENARIOS.len();
            let scenario = library::find(SCENARIOS[turn], stack.as_ref())?;
            let plan = planner::plan(&scenario, stack.as_ref(), None, number / SCENARIOS.len() as u64, &[])?;
            let laws = match guarded::run(&plan, &stack, &Guarded::default())? {
                Ending::Ended(report) => {
                    let laws: BTreeSet<_> =
                        report.broken().into_iter().map(|broken| broken.invariant).collect();
                    laws.into_iter().collect::<Vec<_>>().join(", ")
                }
                Ending::CutOff(cut) => format!("the budget: {cut}"),
                Ending::Bug(_) => "a panic of the world".to_owned(),
            };
            if !laws.is_empty() {
                println!("{} {laws}", number + 1);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Around the copy: plants, builds, measures.
#[cfg(not(live))]
mod workshop {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::time::Instant;

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    const MUTANTS: &str = "invariants/mutants";
    /// Applied before every mutant.
    const BASE: &str = "base";
    /// Seeds that must hold before anything is planted.
    const SOUND_SEEDS: u64 = 40;
    /// Plants what is called so, or everything, and writes a table; or only looks whether it can be planted.
    pub(crate) fn work(names: &[String], seeds_max: u64, check: bool) -> Result<()> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("the workspace is around it")?;
        let workshop = Workshop::open(root)?;
        let mutants = Mutant::all(root, names)?;
        if check {
            for mutant in &mutants {
                workshop.plant(mutant)?;
                workshop.remove(mutant)?;
            }
            eprintln!("{} mutants apply", mutants.len());
            return Ok(());
        }
        let begun = Instant::now();
        workshop.build()?;
        if let Some(alarm) = workshop.fuzz(SOUND_SEEDS)? {
            return Err(
                format!("without a mutant, {} is broken: no table can be believed", alarm.laws).into()
            );
        }
        println!("| mutant | what is planted | caught by | seeds | CPU s |\n|---|---|---|---|---|");
        let mut caught = 0;
        for mutant in &mutants {
            workshop.plant(mutant)?;
            let outcome = workshop.build().and_then(|()| workshop.fuzz(seeds_max));
            workshop.remove(mutant)?;
            let outcome = outcome.map_err(|error| format!("mutant `{}`: {error}", mutant.name))?;
            caught += u64::from(outcome.is_some());
            let told = outcome.map_or_else(
                || format!("nothing | {seeds_max} | "),
                |caught| format!("{} | {} | {:.1}", caught.laws, caught.seeds, caught.cpu_s),
            );
            println!("| {} | {} | {told} |", mutant.name, mutant.idea);
        }
        println!(
            "\n{caught} of {} caught, in {:.0} min",
            mutants.len(),
            begun.elapsed().as_secs_f64() / 60.0
        );
        Ok(())
    }

    /// A small patch with one idea.
    struct Mutant {
        name: String,
        idea: String,
        patch: PathBuf,
    }

    impl Mutant {
        /// The mutants whose names begin with one of `names`, or all, in order of name.
        fn all(root: &Path, names: &[String]) -> Result<Vec<Self>> {
            let mut mutants = Vec::new();
            for entry in root.join(MUTANTS).read_dir()? {
                let patch = entry?.path();
                let name = patch.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
                let wanted = names.is_empty() || names.iter().any(|begin| name.starts_with(begin));
                if patch.extension().is_some_and(|extension| extension == "patch") && name != BASE && wanted {
                    let text = std::fs::read_to_string(&patch)?;
                    let idea = text.lines().next().unwrap_or_default().to_owned();
                    mutants.push(Self { name, idea, patch });
                }
            }
            mutants.sort_by(|one, other| one.name.cmp(&other.name));
            if mutants.is_empty() {
                return Err("no mutant is called so".into());
            }
            Ok(mutants)
        }
    }

    /// Who caught a mutant, and what it took.
    struct Caught {
        laws: String,
        seeds: u64,
        cpu_s: f64,
    }

    /// A copy of the source and its builds.
    struct Workshop {
        source: PathBuf,
        target: PathBuf,
    }

    impl Workshop {
        /// Makes the copy, or brings it up to date; files that have not changed keep their times, and so their builds.
        fn open(root: &Path) -> Result<Self> {
            let folder = root.join("target/mutants");
            let this = Self { source: folder.join("source"), target: folder.join("build") };
            let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output()?;
            if !listed.status.success() {
                return Err("the source must be a git checkout".into());
            }
            let listed = String::from_utf8(listed.stdout)?;
            for file in listed.split_terminator('\0').filter(|file| root.join(file).is_file()) {
                let copy = this.source.join(file);
                let bytes = std::fs::read(root.join(file))?;
                if std::fs::read(&copy).ok().as_ref() != Some(&bytes) {
                    std::fs::create_dir_all(copy.parent().ok_or("a file is in a folder")?)?;
                    std::fs::write(&copy, bytes)?;
                }
            }
            this.patch(&root.join(MUTANTS).join(BASE).with_extension("patch"), false)?;
            Ok(this)
        }

        fn plant(&self, mutant: &Mutant) -> Result<()> {
            self.patch(&mutant.patch, false)
        }

        fn remove(&self, mutant: &Mutant) -> Result<()> {
            self.patch(&mutant.patch, true)
        }

        fn patch(&self, patch: &Path, reverse: bool) -> Result<()> {
            let mut git = Command::new("git");
            // The copy is no part of the checkout around it, or git would pass over its files in silence.
            git.env("GIT_CEILING_DIRECTORIES", self.source.parent().ok_or("it has one")?);
            git.current_dir(&self.source).arg("apply").args(reverse.then_some("--reverse")).arg(patch);
            let output = git.output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                return Ok(());
            }
            Err(format!("`{}` does not apply any more: {said}", patch.display()).into())
        }

        fn build(&self) -> Result<()> {
            let mut cargo = Command::new("cargo");
            cargo.current_dir(&self.source).env("CARGO_TARGET_DIR", &self.target);
            // The configuration of the checkout around the copy would add the same flags once more.
            cargo.env("RUSTFLAGS", "--cfg madsim");
            cargo.args(["build", "--quiet", "--package", "hogwash-scenarios", "--example", "mutants"]);
            if cargo.stderr(Stdio::null()).status()?.success() {
                Ok(())
            } else {
                Err("it does not build".into())
            }
        }

        /// Tries seeds until a law is broken.
        fn fuzz(&self, seeds_max: u64) -> Result<Option<Caught>> {
            let before_s = children_cpu_s();
            let mut program = Command::new(self.target.join("debug/examples/mutants"));
            let output = program.args(["--fuzz", &seeds_max.to_string()]).stderr(Stdio::null()).output()?;
            let said = String::from_utf8(output.stdout)?;
            let cpu_s = children_cpu_s() - before_s;
            match said.trim().split_once(' ') {
                Some((seeds, laws)) => {
                    Ok(Some(Caught { laws: laws.to_owned(), seeds: seeds.parse()?, cpu_s }))
                }
                None if output.status.success() => Ok(None),
                None => Err(format!("it ended with {}", output.status).into()),
            }
        }
    }

    /// The CPU that processes which this one waited for have used; 0 where the system does not say.
    fn children_cpu_s() -> f64 {
        let accounts = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The program's name, in parentheses, may hold spaces; the children's times are the 14th and 15th field after it.
        let fields = accounts.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(13).take(2);
        ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / 100.0
    }
}
