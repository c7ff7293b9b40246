//! Where the view goes.

use std::io::{self, IsTerminal, Write};

use crossterm::{
    QueueableCommand,
    cursor::MoveToPreviousLine,
    style::Print,
    terminal::{self, Clear, ClearType},
};

/// Narrower terminals are taken for this wide.
const NARROWEST: usize = 40;

/// Standard output, as a terminal that is redrawn or as lines.
#[derive(Debug)]
pub(crate) struct Screen {
    is_live: bool,
    /// Lines of the block that stand above the cursor.
    drawn: u16,
}

impl Screen {
    /// A terminal, unless it is none or `plain` is wanted.
    pub(crate) fn new(plain: bool) -> Self {
        Self {
            is_live: !plain && io::stdout().is_terminal(),
            drawn: 0,
        }
    }

    /// Whether the view is redrawn.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Draws the block in the place of the last one.
    pub(crate) fn draw(&mut self, block: &[String]) -> io::Result<()> {
        let (width, height) = terminal::size().unwrap_or((100, 40));
        let width = usize::from(width).max(NARROWEST);
        // What scrolled off the top cannot be drawn over.
        let shown = block.len().min(usize::from(height).saturating_sub(1));
        let block = &block[block.len() - shown..];
        let mut out = io::stdout().lock();
        self.rewind(&mut out)?;
        for line in block {
            let line: String = line.chars().take(width.saturating_sub(1)).collect();
            out.queue(Print(line))?.queue(Print("\n"))?;
        }
        self.drawn = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.flush()
    }

    /// Prints lines that stay, and begins a new block below them.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.rewind(&mut out)?;
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Leaves the last block where it is.
    pub(crate) fn keep(&mut self) {
        self.drawn = 0;
    }

    fn rewind(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.drawn > 0 {
            out.queue(MoveToPreviousLine(self.drawn))?;
            out.queue(Clear(ClearType::FromCursorDown))?;
            self.drawn = 0;
        }
        Ok(())
    }
}
