//! `hogwash serve`: the stack for real, on loopback.

use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::program::Program;
use anyhow::{Context, Result, bail};
use sim::plan::NodePlan;
use sim::server::ServeOptions;
use sim::stack::{Deployment, Role};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn serve(program: &Program, arguments: &ServeArgs) -> Result<Exit> {
    let roles = program.stack.roles();
    for (role, _) in &arguments.nodes {
        if !roles.iter().any(|known| known.name == role) {
            let known: Vec<&str> = roles.iter().map(|role| role.name).collect();
            bail!("this stack has no role `{role}`: it has {}", known.join(", "));
        }
    }
    let count = |role: &Role| {
        let asked = arguments.nodes.iter().rev().find(|(name, _)| name == role.name);
        asked.map_or(role.count, |(_, count)| *count)
    };
    let nodes = roles.iter().flat_map(|role| nodes(role, count(role))).collect();
    let settings = arguments.set.iter().cloned().collect();
    let deployment = Deployment::new(program.stack.as_ref(), nodes, &settings)?;
    let options = ServeOptions { data: arguments.data.clone(), base_port: arguments.base_port, nodes: None };
    sim::server::serve(program.stack.clone(), Arc::new(deployment), options)
        .with_context(|| format!("the stack cannot be served from `{}`", arguments.data.display()))?;
    Ok(Exit::Success)
}

fn nodes(role: &Role, count: u32) -> impl Iterator<Item = NodePlan> {
    let role = *role;
    (1..=count).map(move |number| NodePlan {
        name: format!("{}-{number}", role.name),
        role: role.name.to_owned(),
        cores: role.cores,
        memory_bytes: u64::MAX,
        domains: BTreeMap::new(),
        clock_offset_ns: 0,
        clock_drift_parts_per_million: 0.0,
    })
}
