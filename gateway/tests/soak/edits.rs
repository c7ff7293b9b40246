//! The configuration file, and what is changed in it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rand::{RngExt, rngs::StdRng};

use crate::backend::Backend;

/// Writes one configuration after the other.
pub(crate) struct Editor {
    file: PathBuf,
    listen: SocketAddr,
    admin: SocketAddr,
    /// `endpoints` of each side, as the file has them.
    endpoints: [String; 2],
}

impl Editor {
    pub(crate) fn new(file: PathBuf, backends: &[Backend]) -> Self {
        let endpoints = ["legacy", "candidate"].map(|side| {
            let of_side = backends.iter().filter(|backend| backend.side == side);
            let quoted: Vec<_> = of_side
                .map(|backend| format!("\"http://{}\"", backend.address))
                .collect();
            quoted.join(", ")
        });
        Self {
            file,
            listen: ([127, 0, 0, 1], testkit::free_port()).into(),
            admin: ([127, 0, 0, 1], testkit::free_port()).into(),
            endpoints,
        }
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// A configuration that must not be taken.
    pub(crate) fn faulty(&mut self, random: &mut StdRng) {
        let text = format!("lisen = 7\n{}", self.text(random));
        self.write(&text);
    }

    /// A configuration that differs from the one before in what may change without any request's
    /// harm: percent, limits, timeouts, routes.
    pub(crate) fn sound(&mut self, random: &mut StdRng) {
        let text = self.text(random);
        self.write(&text);
    }

    fn text(&self, random: &mut StdRng) -> String {
        let [legacy, candidate] = &self.endpoints;
        let mut text = format!(
            "access_log = \"off\"\nlisten = \"{}\"\nadmin_listen = \"{}\"\n",
            self.listen, self.admin
        );
        for (name, endpoints) in [("legacy", legacy), ("quiz", candidate)] {
            let (timeout, places) = (random.random_range(10..20), random.random_range(500..600));
            // A circuit closes before the next instance dies.
            write!(
                text,
                "[upstreams.{name}]\nendpoints = [{endpoints}]\ntimeout = \"{timeout}s\"\n\
                 max_in_flight = {places}\nretry = {{ attempts = 3, budget_percent = 100 }}\n\
                 breaker = {{ failures = 3, window = \"1s\", open_for = \"500ms\" }}\n"
            )
            .expect("a text grows");
        }
        let percent = random.random_range(0..=100);
        write!(
            text,
            "[flags.move]\npercent = {percent}\nsubject = [\"header:x-user-id\"]\n\
             [[routes]]\nid = \"moved\"\nprefix = \"/moved\"\nlegacy = \"legacy\"\n\
             candidate = \"quiz\"\nflag = \"move\"\n\
             [[routes]]\nid = \"all\"\nprefix = \"/\"\nlegacy = \"legacy\"\n"
        )
        .expect("a text grows");
        for number in 0..random.random_range(0..20) {
            write!(
                text,
                "[[routes]]\nid = \"more-{number}\"\nprefix = \"/more/{number}\"\nlegacy = \"legacy\"\n"
            )
            .expect("a text grows");
        }
        text
    }

    /// As an editor does that is careful: the file is never half.
    fn write(&self, text: &str) {
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, text).expect("a file is written");
        std::fs::rename(&fresh, &self.file).expect("a file is moved");
    }
}
