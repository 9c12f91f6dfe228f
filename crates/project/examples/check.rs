//! Checks the project in a folder, as far as this room can, and says how long that took:
//! `cargo run -p tidegate-project --example check -- examples/payments`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use tidegate_project::{Project, RenderStyle, diagnostic};

fn main() -> ExitCode {
    let Some(root) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("which folder?");
        return ExitCode::from(2);
    };
    let start = Instant::now();
    let loaded = Project::load(&root);
    let took = start.elapsed();
    let project = &loaded.project;
    print!(
        "{}",
        diagnostic::render_all(&loaded.diagnostics, &project.files, RenderStyle::default())
    );
    println!(
        "{}: {} tables, {} flows, {} edges, {} files in {took:.1?}",
        project.name,
        project.tables.len(),
        project.flows.len(),
        project.graph.edges().len(),
        project.files.len(),
    );
    match loaded.has_errors() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
