//! A runbook as the drills read it: rooms, in each the blocks to type and what they print.

use std::path::Path;

/// The rooms of a runbook, in their order; `cargo xtask tidy` holds it, too.
pub(super) const ROOMS: [&str; 7] = [
    "Signal",
    "What it means",
    "Look",
    "Act",
    "Verify",
    "Undo",
    "Escalate",
];

/// A runbook's blocks, by room.
pub(super) struct Runbook {
    rooms: Vec<(&'static str, Vec<Block>)>,
}

/// What an operator types, and what it prints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// The lines of a `sh` block.
    pub(super) script: String,
    /// `exit=1` behind `sh`: how it ends while the fault is there; else 0.
    pub(super) exit: i32,
    /// What it prints there and then: a `text` block, or `text bad`.
    pub(super) prints: Option<String>,
    /// What it prints when all is well: a `text good` block.
    pub(super) prints_when_well: Option<String>,
}

impl Runbook {
    /// Reads `runbooks/{name}`.
    pub(super) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../runbooks")
            .join(name);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(&text).unwrap_or_else(|fault| panic!("{name}: {fault}"))
    }

    /// The blocks of a room.
    pub(super) fn room(&self, name: &str) -> &[Block] {
        let room = self.rooms.iter().find(|(room, _)| *room == name);
        room.map_or(&[], |(_, blocks)| blocks)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut rooms: Vec<(&'static str, Vec<Block>)> = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(heading) = line.strip_prefix("## ") {
                let expected = ROOMS.get(rooms.len()).copied().unwrap_or("no more");
                if heading != expected {
                    return Err(format!("the room is {heading:?}, not {expected:?}"));
                }
                rooms.push((expected, Vec::new()));
            }
            let Some(fence) = line.strip_prefix("```") else {
                continue;
            };
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let Some((room, blocks)) = rooms.last_mut() else {
                return Err(format!("a block stands above {:?}", ROOMS[0]));
            };
            add(blocks, fence, inside.join("\n")).map_err(|fault| format!("{room}: {fault}"))?;
        }
        if rooms.len() < ROOMS.len() {
            return Err(format!("has no {:?}", ROOMS[rooms.len()]));
        }
        Ok(Self { rooms })
    }
}

fn add(blocks: &mut Vec<Block>, fence: &str, inside: String) -> Result<(), String> {
    if let Some(rest) = fence.strip_prefix("sh") {
        let exit = match rest.trim() {
            "" => 0,
            word => word
                .strip_prefix("exit=")
                .and_then(|code| code.parse().ok())
                .ok_or_else(|| format!("what is {fence:?}?"))?,
        };
        blocks.push(Block {
            script: inside,
            exit,
            ..Block::default()
        });
        return Ok(());
    }
    let block = blocks
        .last_mut()
        .ok_or_else(|| format!("{fence:?} without a command above it"))?;
    let place = match fence {
        "text" | "text bad" => &mut block.prints,
        "text good" => &mut block.prints_when_well,
        _ => return Err(format!("what is {fence:?}?")),
    };
    match place.replace(inside) {
        None => Ok(()),
        Some(_) => Err(format!("a second {fence:?} for {:?}", block.script)),
    }
}

#[test]
fn blocks_are_read_with_their_exit_and_what_they_print() {
    let mut text = String::from("# Title\n");
    for room in ROOMS {
        text.push_str(&format!("\n## {room}\n\nWords.\n"));
        if room == "Look" {
            text.push_str("```sh exit=1\nbanyan doctor\n```\n\n```text bad\nquiz …\n```\n");
            text.push_str("```text good\nall well\n```\n```sh\nls\n```\n");
        }
    }
    let runbook = Runbook::parse(&text).expect("well formed");
    let look = runbook.room("Look");
    assert_eq!(look.len(), 2);
    assert_eq!((look[0].exit, look[1].exit), (1, 0));
    assert_eq!(look[0].script, "banyan doctor");
    assert_eq!(look[0].prints.as_deref(), Some("quiz …"));
    assert_eq!(look[0].prints_when_well.as_deref(), Some("all well"));
    for (from, to) in [
        ("## Act", "## Action"),
        ("sh exit=1", "sh exit"),
        ("text bad", "txt"),
        ("```text good", "```text"),
    ] {
        assert!(Runbook::parse(&text.replace(from, to)).is_err(), "{to}");
    }
}
