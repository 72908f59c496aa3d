//! The `bellwether` command.

fn main() -> std::process::ExitCode {
    bellwether::cli::run(std::env::args_os())
}
