//! `hogwash serve`: the stack for real, on loopback, as one process or as several that share it.

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
    let roles = roles(program);
    let known = || roles.iter().map(|(role, _)| role.name).collect::<Vec<_>>().join(", ");
    let asked = arguments.nodes.iter().map(|(role, _)| role).chain(&arguments.role);
    for role in asked {
        if !roles.iter().any(|(known, _)| known.name == role) {
            bail!("this stack has no role `{role}`: it has {}", known());
        }
    }
    let count = |role: &Role, count: u32| {
        let asked = arguments.nodes.iter().rev().find(|(name, _)| name == role.name);
        asked.map_or(count, |(_, count)| *count)
    };
    let nodes: Vec<NodePlan> = roles.iter().flat_map(|(role, own)| nodes(role, count(role, *own))).collect();
    let here = here(&nodes, arguments)?;
    for (number, node) in nodes.iter().enumerate().filter(|(_, node)| here.contains(&node.name)) {
        let first = usize::from(arguments.base_port) + number * usize::from(sim::server::PORTS_A_NODE);
        println!("{}  port 80 is 127.0.0.1:{}", node.name, first + 80);
    }
    let settings = arguments.set.iter().cloned().collect();
    let deployment = Deployment::new(program.stack.as_ref(), nodes, &settings)?;
    let options =
        ServeOptions { data: arguments.data.clone(), base_port: arguments.base_port, nodes: Some(here) };
    sim::server::serve(program.stack.clone(), Arc::new(deployment), options)
        .with_context(|| format!("the stack cannot be served from `{}`", arguments.data.display()))?;
    Ok(Exit::Success)
}

/// All roles, in the order of their ports, with how many nodes of each there are where nobody says.
fn roles(program: &Program) -> Vec<(&'static Role, u32)> {
    let (roles, served) = (program.stack.roles(), program.served);
    let named = served.iter().filter_map(|(name, count)| {
        let role = roles.iter().find(|role| role.name == *name)?;
        Some((role, *count))
    });
    let others = roles.iter().filter(|role| !served.iter().any(|(name, _)| *name == role.name));
    named.chain(others.map(|role| (role, role.count))).collect()
}

/// The names of the nodes that this process is to serve.
fn here(nodes: &[NodePlan], arguments: &ServeArgs) -> Result<Vec<String>> {
    let Some(role) = &arguments.role else { return Ok(nodes.iter().map(|node| node.name.clone()).collect()) };
    let of_role: Vec<&NodePlan> = nodes.iter().filter(|node| node.role == *role).collect();
    if of_role.is_empty() {
        bail!("there is no node of the role `{role}`: `--nodes {role}=1` makes one");
    }
    let Some(index) = arguments.index else {
        return Ok(of_role.into_iter().map(|node| node.name.clone()).collect());
    };
    let place = usize::try_from(index).ok().and_then(|index| index.checked_sub(1));
    match place.and_then(|place| of_role.get(place)) {
        Some(node) => Ok(vec![node.name.clone()]),
        None => {
            bail!("there is no `{role}-{index}`: the nodes of this role are numbered 1 to {}", of_role.len())
        }
    }
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
