//! `seawall orders`: a journal of orders, for the person that has to settle one.

mod arguments;
mod error;
mod kill_switch;
mod list;
mod resolve;
mod show;
mod text;

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use error::Done;

pub(crate) use arguments::{OrdersCommand, USAGE};

/// Carries the command out, and gives the exit code.
pub(crate) fn carry_out(
    command: &OrdersCommand,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> Done {
    match command {
        OrdersCommand::Help => {
            writeln!(out, "{USAGE}")?;
            Ok(0)
        }
        OrdersCommand::List(list) => list::run(list, out),
        OrdersCommand::Show(show) => show::run(show, out),
        OrdersCommand::KillSwitch(switch) => kill_switch::run(switch, out),
        OrdersCommand::Resolve(resolve) => resolve::run(resolve, out, errors, &mut ask),
    }
}

/// What a person answers to a question; `None` where nobody sits at a terminal.
fn ask(question: &str, errors: &mut dyn Write) -> io::Result<Option<String>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Ok(None);
    }
    write!(errors, "{question}")?;
    errors.flush()?;
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    Ok(Some(line))
}
