//! What is measured, and how: each part starts what it needs afresh and puts its figures down.
//!
//! Repetitions are interleaved: the machine drifts, so that only what ran side by side compares.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};

use super::figures::{Figures, What};
use super::peers::{self, Peer, Running, Setting};
use super::wrk::{self, Shape};
use super::{Options, programs::Programs};

/// The number of routes that all proxies have.
pub(super) const ROUTES: usize = 200;
/// The gateway's alone, for comparison with itself.
pub(super) const MANY_ROUTES: usize = 10_000;
/// The rate of the open model.
pub(super) const RATE: u32 = 15_000;
/// Connections on which load comes.
pub(super) const CONNECTIONS: [usize; 3] = [16, 64, 256];
/// Those that are compared in more than their cost per small answer.
const ALIKE: [Peer; 5] = [
    Peer::Banyan,
    Peer::Before,
    Peer::Nginx,
    Peer::Haproxy,
    Peer::Pingora,
];
const TOKENS: usize = 1_000;
/// How often memory is looked at while something else happens.
const LOOK: Duration = Duration::from_millis(50);

/// One run of the measurement.
pub(super) struct Bench<'a> {
    pub(super) programs: &'a Programs,
    pub(super) folder: PathBuf,
    pub(super) options: &'a Options,
    pub(super) figures: Figures,
}

/// A part that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Get,
    Steady,
    Bodies,
    Jwt,
    Routes,
    Idle,
    Stalled,
    Bulk,
}

impl Part {
    pub(super) const ALL: [Self; 8] = [
        Self::Get,
        Self::Steady,
        Self::Bodies,
        Self::Jwt,
        Self::Routes,
        Self::Idle,
        Self::Stalled,
        Self::Bulk,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Steady => "steady",
            Self::Bodies => "bodies",
            Self::Jwt => "jwt",
            Self::Routes => "routes",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Bulk => "bulk",
        }
    }
}

fn get(size: &'static str) -> Shape {
    Shape {
        method: "GET",
        size,
        routes: ROUTES,
        tokens: None,
    }
}

fn plain() -> Setting {
    Setting {
        routes: ROUTES,
        public_key: None,
    }
}

impl Bench<'_> {
    pub(super) fn run(&mut self, part: Part) -> anyhow::Result<()> {
        println!("    {}", part.name());
        match part {
            Part::Get => self.small_answers(),
            Part::Steady => self.fixed_rate(),
            Part::Bodies => self.bodies(),
            Part::Jwt => self.tokens(),
            Part::Routes => self.many_routes(),
            Part::Idle => self.held("idle", 10_000, What::Idle),
            Part::Stalled => self.held("stalled", 64, What::Stalled),
            Part::Bulk => self.bulk(),
        }
    }

    fn peers(&self, wanted: &[Peer]) -> Vec<Peer> {
        let has = |peer: &&Peer| self.programs.has(**peer) && self.options.wants(**peer);
        wanted.iter().filter(has).copied().collect()
    }

    fn start(&self, wanted: &[Peer]) -> anyhow::Result<Vec<(Peer, Running)>> {
        let each = self.peers(wanted).into_iter().zip(0..);
        each.map(|(peer, number)| {
            let running = peer.start(self.programs, &self.folder, number, &plain())?;
            Ok((peer, running))
        })
        .collect()
    }

    fn load(
        &mut self,
        running: &Running,
        peer: Peer,
        connections: usize,
        shape: &Shape,
        cpu: What,
    ) -> anyhow::Result<wrk::Outcome> {
        let before = running.process.as_ref().map(|process| process.cpu());
        let outcome = wrk::run(
            &self.folder,
            running.address,
            connections,
            self.options.time,
            shape,
        )
        .with_context(|| format!("load on {}", peer.name()))?;
        if let (Some(process), Some(before)) = (&running.process, before) {
            let used = process.cpu() - before;
            self.figures.add(cpu, peer, used * 1e6 / outcome.requests);
        }
        Ok(outcome)
    }

    fn small_answers(&mut self) -> anyhow::Result<()> {
        let running = self.start(&Peer::ALL)?;
        // Connections are opened and caches filled before anything counts.
        for (_, running) in &running {
            let second = Duration::from_secs(1);
            wrk::run(&self.folder, running.address, 64, second, &get("1k"))?;
        }
        for _ in 0..self.options.repetitions {
            for connections in CONNECTIONS {
                for (peer, running) in &running {
                    let cpu = What::Cpu(connections);
                    let outcome = self.load(running, *peer, connections, &get("1k"), cpu)?;
                    let rate = outcome.requests / outcome.seconds;
                    self.figures.add(What::Rate(connections), *peer, rate);
                    self.figures.add(What::P50(connections), *peer, outcome.p50);
                    self.figures.add(What::P99(connections), *peer, outcome.p99);
                    if let (Some(process), 256) = (&running.process, connections) {
                        self.figures.add(What::Memory, *peer, process.memory());
                    }
                }
            }
        }
        Ok(())
    }

    fn fixed_rate(&mut self) -> anyhow::Result<()> {
        let wanted = [
            Peer::Banyan,
            Peer::Before,
            Peer::Nginx,
            Peer::Haproxy,
            Peer::Pingora,
            Peer::Direct,
        ];
        let running = self.start(&wanted)?;
        for _ in 0..self.options.repetitions {
            let mut direct = None;
            for (peer, running) in running.iter().rev() {
                let median = self.steady(running.address)?;
                self.figures.add(What::SteadyP50, *peer, median);
                if *peer == Peer::Direct {
                    direct = Some(median);
                } else if let Some(direct) = direct {
                    self.figures.add(What::AddedP50, *peer, median - direct);
                }
            }
        }
        Ok(())
    }

    /// The median latency at the fixed rate, in µs.
    fn steady(&self, address: SocketAddr) -> anyhow::Result<f64> {
        let mut steady = Command::new(&self.programs.steady);
        steady.arg(address.to_string());
        steady.args([RATE.to_string(), "64".to_owned()]);
        steady.args([self.options.time.as_secs().to_string(), ROUTES.to_string()]);
        let output = steady.stdin(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let median = text
            .split_whitespace()
            .next()
            .and_then(|it| it.parse().ok());
        median.with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn bodies(&mut self) -> anyhow::Result<()> {
        let wanted = ALIKE;
        let running = self.start(&wanted)?;
        let post = Shape {
            method: "POST",
            ..get("1k")
        };
        for _ in 0..self.options.repetitions {
            for (peer, running) in &running {
                self.load(running, *peer, 64, &post, What::Post)?;
                self.load(running, *peer, 64, &get("64k"), What::Large)?;
            }
        }
        Ok(())
    }

    fn tokens(&mut self) -> anyhow::Result<()> {
        let mut tokens = Command::new(&self.programs.tokens);
        let output = tokens.arg(TOKENS.to_string()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let end = text.find("\ney").context("no tokens were made")? + 1;
        let file = self.folder.join("tokens");
        fs::write(&file, &text[end..])?;
        let checking = Setting {
            public_key: Some(text[..end].to_owned()),
            ..plain()
        };
        let shape = Shape {
            tokens: Some(file),
            ..get("1k")
        };
        let settings = [(plain(), What::Unchecked), (checking, What::Checked)];
        self.ourselves(&settings, &[shape.clone(), shape])
    }

    fn many_routes(&mut self) -> anyhow::Result<()> {
        let many = Setting {
            routes: MANY_ROUTES,
            public_key: None,
        };
        let shape = Shape {
            routes: MANY_ROUTES,
            ..get("1k")
        };
        let settings = [(plain(), What::FewRoutes), (many, What::ManyRoutes)];
        self.ourselves(&settings, &[get("1k"), shape])
    }

    /// The gateway against itself with other settings.
    fn ourselves(&mut self, settings: &[(Setting, What)], shapes: &[Shape]) -> anyhow::Result<()> {
        let mut running = Vec::new();
        for ((setting, what), number) in settings.iter().zip(0..) {
            let started = Peer::Banyan.start(self.programs, &self.folder, number, setting)?;
            running.push((started, *what));
        }
        for ((running, _), shape) in running.iter().zip(shapes) {
            let second = Duration::from_secs(1);
            wrk::run(&self.folder, running.address, 64, second, shape)?;
        }
        // Two alone take little time: more repetitions make a small difference visible.
        for _ in 0..self.options.repetitions * 2 {
            for ((running, what), shape) in running.iter().zip(shapes) {
                self.load(running, Peer::Banyan, 64, shape, *what)?;
            }
        }
        Ok(())
    }

    fn held(&mut self, kind: &str, count: usize, what: What) -> anyhow::Result<()> {
        // HAProxy counts two files for each connection that it may have, beyond what many systems allow.
        let wanted: Vec<Peer> = ALIKE
            .into_iter()
            .filter(|peer| *peer != Peer::Haproxy || count < 9_000)
            .collect();
        for peer in self.peers(&wanted) {
            let running = peer.start(self.programs, &self.folder, 0, &plain())?;
            let Some(process) = &running.process else {
                continue;
            };
            let empty = process.memory();
            let mut clients = self.clients(kind, running.address, count)?;
            hears(&mut clients, "ready")?;
            // Whatever is read ahead for clients that do not read has been by then.
            let mut most = 0.0_f64;
            for _ in 0..60 {
                most = most.max(process.memory());
                thread::sleep(LOOK);
            }
            self.figures.add(what, peer, most);
            self.figures.add(What::Empty, peer, empty);
            // Its input ends, and with it its connections.
            drop(clients.stdin.take());
            clients.wait()?;
        }
        Ok(())
    }

    fn bulk(&mut self) -> anyhow::Result<()> {
        let wanted = ALIKE;
        let running = self.start(&wanted)?;
        for _ in 0..self.options.repetitions {
            for (kind, cpu, memory) in [
                ("download", What::Download, What::DownloadMemory),
                ("upload", What::Upload, What::UploadMemory),
            ] {
                for (peer, running) in &running {
                    let Some(process) = &running.process else {
                        continue;
                    };
                    let before = process.cpu();
                    let mut clients = self.clients(kind, running.address, 1)?;
                    let mut most = 0.0_f64;
                    while clients.try_wait()?.is_none() {
                        most = most.max(process.memory());
                        thread::sleep(LOOK);
                    }
                    hears(&mut clients, "done")?;
                    self.figures.add(cpu, *peer, process.cpu() - before);
                    self.figures.add(memory, *peer, most);
                }
            }
        }
        Ok(())
    }

    fn clients(&self, kind: &str, address: SocketAddr, count: usize) -> anyhow::Result<Child> {
        let mut clients = Command::new("sh");
        // A connection is a file, and shells start programs with room for a thousand.
        clients.args(["-c", "ulimit -n 20000; exec \"$@\"", "sh"]);
        clients.arg(self.programs.clients());
        clients.args([kind, &address.to_string(), &count.to_string()]);
        clients.stdin(Stdio::piped()).stdout(Stdio::piped());
        clients.spawn().context("cannot start the clients")
    }
}

fn hears(clients: &mut Child, word: &str) -> anyhow::Result<()> {
    let mut line = String::new();
    if let Some(out) = clients.stdout.as_mut() {
        BufReader::new(out).read_line(&mut line)?;
    }
    if line.trim() != word {
        clients.wait()?;
        bail!("the clients did not get as far as {word:?}");
    }
    Ok(())
}

/// Starts what stands behind all proxies, then runs the parts.
pub(super) fn run(bench: &mut Bench<'_>, parts: &[Part]) -> anyhow::Result<()> {
    let _origin = peers::origin(bench.programs, &bench.folder)?;
    for part in parts {
        bench.run(*part)?;
    }
    Ok(())
}
