//! Terminals: pts(4), ioctl_tty(2), termios(3).

use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use super::{Result, check};

/// f_type of a devpts.
pub const DEVPTS_MAGIC: i64 = 0x1cd1;

/// ioctl(TIOCSPTLCK, 0): the slave may be opened.
pub fn unlock(master: RawFd) -> Result<()> {
    let locked: libc::c_int = 0;
    // SAFETY: the kernel reads one int.
    check(unsafe { libc::ioctl(master, libc::TIOCSPTLCK, &raw const locked) })?;
    Ok(())
}

/// ioctl(TIOCGPTN): the N of /dev/pts/N.
pub fn number(master: RawFd) -> Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: the kernel writes one unsigned int.
    check(unsafe { libc::ioctl(master, libc::TIOCGPTN, &raw mut number) })?;
    Ok(number)
}

/// ioctl(TIOCGPTPEER): the slave, without a path that somebody could have replaced. O_CLOEXEC.
pub fn peer(master: RawFd) -> Result<RawFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: integers only.
    check(unsafe { libc::ioctl(master, libc::TIOCGPTPEER, flags) })
}

/// ioctl(TIOCSCTTY): the caller, a session leader without one, takes its controlling terminal.
pub fn set_controlling(slave: RawFd) -> Result<()> {
    // SAFETY: integers only; 0 takes no terminal from another session.
    check(unsafe { libc::ioctl(slave, libc::TIOCSCTTY, 0) })?;
    Ok(())
}

/// Rows and columns of characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WindowSize {
    /// process.consoleSize.height.
    pub rows: u16,
    /// process.consoleSize.width.
    pub columns: u16,
}

/// ioctl(TIOCGWINSZ).
pub fn window_size(terminal: RawFd) -> Result<WindowSize> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel writes one winsize.
    check(unsafe { libc::ioctl(terminal, libc::TIOCGWINSZ, &raw mut size) })?;
    Ok(WindowSize {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// ioctl(TIOCSWINSZ): the foreground process group hears of it by SIGWINCH.
pub fn set_window_size(terminal: RawFd, size: WindowSize) -> Result<()> {
    let size = libc::winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel reads one winsize.
    check(unsafe { libc::ioctl(terminal, libc::TIOCSWINSZ, &raw const size) })?;
    Ok(())
}

/// The modes of a terminal: termios(3).
#[derive(Clone, Copy)]
pub struct Modes(libc::termios);

impl std::fmt::Debug for Modes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let libc::termios {
            c_iflag,
            c_oflag,
            c_cflag,
            c_lflag,
            ..
        } = self.0;
        write!(
            f,
            "Modes({c_iflag:#o}, {c_oflag:#o}, {c_cflag:#o}, {c_lflag:#o})"
        )
    }
}

impl Modes {
    /// Every key reaches the reader as it is, unechoed. Output is still processed: the program's
    /// line feeds come without carriage returns (see [`Modes::plain_newlines`]).
    pub fn raw(mut self) -> Self {
        // SAFETY: changes the flags of one termios.
        unsafe { libc::cfmakeraw(&raw mut self.0) };
        self.0.c_oflag |= libc::OPOST;
        self
    }

    /// A line feed stays a line feed.
    pub fn plain_newlines(mut self) -> Self {
        self.0.c_oflag &= !libc::ONLCR;
        self
    }
}

/// tcgetattr(3). ENOTTY: not a terminal.
pub fn modes(terminal: RawFd) -> Result<Modes> {
    let mut modes = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: filled when the call returns 0.
    check(unsafe { libc::tcgetattr(terminal, modes.as_mut_ptr()) })?;
    // SAFETY: plain integers, filled by the call that succeeded.
    Ok(Modes(unsafe { modes.assume_init() }))
}

/// tcsetattr(TCSANOW): at once, for a terminal that is stopped would make TCSADRAIN wait for ever.
pub fn set_modes(terminal: RawFd, modes: Modes) -> Result<()> {
    // SAFETY: one termios, read during the call.
    check(unsafe { libc::tcsetattr(terminal, libc::TCSANOW, &raw const modes.0) })?;
    Ok(())
}
