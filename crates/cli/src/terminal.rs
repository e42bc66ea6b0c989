//! The terminal while a command shows live figures: redraws the screen from the top and reads each key at once.
//!
//! It uses no alternate screen, and the cursor stays visible. So when the process ends, only two modes of the keyboard
//! have to be restored (termios(3): ICANON, ECHO). They are restored when the value is dropped, also after a panic,
//! and while Ctrl-Z stops the process. The former content of the screen moves up into the scrollback. What was drawn
//! last stays.

use std::io::{self, IsTerminal, Read};
use std::thread;

use anyhow::Context;
use console::{Term, truncate_str};
use rustix::process::{Signal as Number, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What the user at the terminal wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end the command.
    ToLeave,
    /// To redraw, because the size has changed or another program used the screen.
    ToDraw,
}

/// A terminal on standard output that can be drawn on.
pub(crate) struct Terminal {
    screen: Term,
    modes: Modes,
    keys: UnboundedReceiver<u8>,
    leave: [Signal; 4],
    resized: Signal,
    stop: Signal,
    resumed: Signal,
}

impl Terminal {
    /// The terminal; none if standard output is not a terminal, or if that can only append lines.
    pub(crate) fn open() -> anyhow::Result<Option<Self>> {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if !io::stdout().is_terminal() || is_dumb {
            return Ok(None);
        }
        let listen = |kind| signal(kind).context("cannot wait for signals");
        let mut terminal = Self {
            screen: Term::buffered_stdout(),
            leave: [
                listen(SignalKind::interrupt())?,
                listen(SignalKind::quit())?,
                listen(SignalKind::terminate())?,
                listen(SignalKind::hangup())?,
            ],
            resized: listen(SignalKind::window_change())?,
            stop: listen(SignalKind::from_raw(Number::TSTP.as_raw()))?,
            resumed: listen(SignalKind::from_raw(Number::CONT.as_raw()))?,
            modes: Modes::default(),
            keys: keys(),
        };
        terminal.modes.set();
        terminal.make_room()?;
        Ok(Some(terminal))
    }

    /// The number of lines.
    pub(crate) fn rows(&self) -> usize {
        self.size().0
    }

    /// Lines and columns. If the terminal does not know, 24 and 80.
    fn size(&self) -> (usize, usize) {
        let (rows, columns) =
            self.screen.size_checked().filter(|size| size.0 > 0 && size.1 > 0).unwrap_or((24, 80));
        (rows.into(), columns.into())
    }

    /// Scrolls up what is on the screen.
    fn make_room(&self) -> anyhow::Result<()> {
        let rows = self.rows();
        self.screen.write_str(&"\n".repeat(rows)).and_then(|()| self.screen.flush()).context("cannot draw")
    }

    /// Draws these lines, each cut to the width.
    pub(crate) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let (_, columns) = self.size();
        self.screen.move_cursor_to(0, 0)?;
        for line in lines {
            self.screen.clear_line()?;
            self.screen.write_line(&truncate_str(line, columns, "…"))?;
        }
        self.screen.clear_to_end_of_screen()?;
        self.screen.flush()
    }

    /// Waits until the user wants something. The future may be dropped at any moment.
    pub(crate) async fn asked(&mut self) -> Asked {
        let [interrupt, quit, terminate, hangup] = &mut self.leave;
        loop {
            tokio::select! {
                _ = interrupt.recv() => return Asked::ToLeave,
                _ = quit.recv() => return Asked::ToLeave,
                _ = terminate.recv() => return Asked::ToLeave,
                _ = hangup.recv() => return Asked::ToLeave,
                Some(key) = self.keys.recv() => if key.eq_ignore_ascii_case(&b'q') { return Asked::ToLeave },
                _ = self.resized.recv() => return Asked::ToDraw,
                _ = self.stop.recv() => self.modes.stop(),
                _ = self.resumed.recv() => {
                    self.modes.set();
                    return Asked::ToDraw;
                }
            }
        }
    }
}

/// The keys that are typed. A thread reads them, because a terminal that other processes share must not be made
/// non-blocking. The thread ends with the process.
fn keys() -> UnboundedReceiver<u8> {
    let (sender, keys) = unbounded_channel();
    if io::stdin().is_terminal() {
        thread::spawn(move || {
            io::stdin().lock().bytes().map_while(Result::ok).try_for_each(|key| sender.send(key))
        });
    }
    keys
}

/// The modes of the keyboard.
#[derive(Default)]
struct Modes {
    /// The former modes, while this process has changed them.
    former: Option<Termios>,
}

impl Modes {
    /// Makes the terminal deliver each key at once and not show it.
    fn set(&mut self) {
        // If standard input is not a terminal, there are no keys.
        let Ok(now) = tcgetattr(io::stdin()) else { return };
        let mut modes = now.clone();
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        self.former.get_or_insert(now);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }

    /// Restores the former modes.
    fn restore(&mut self) {
        if let Some(former) = self.former.take() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &former);
        }
    }

    /// Does what Ctrl-Z does to a process that does not handle it.
    fn stop(&mut self) {
        self.restore();
        // A process may always send itself a signal.
        let _ = kill_process(getpid(), Number::STOP);
    }
}

impl Drop for Modes {
    fn drop(&mut self) {
        self.restore();
    }
}
