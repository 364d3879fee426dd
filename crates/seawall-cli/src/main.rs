//! `seawall`; see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let (mut out, mut errors) = (std::io::stdout().lock(), std::io::stderr().lock());
    match seawall_cli::run(arguments, &mut out, &mut errors) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(2),
    }
}
