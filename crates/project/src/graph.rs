//! Which table feeds which: read from the queries, never written down.
//!
//! Nodes are indices into [`Project::tables`](crate::Project::tables). An edge goes from the table
//! that is read to the table that is fed; reading a table's quarantine is reading the table. Tables
//! on a circle, and those behind one, are left out of the order; [`Graph::cycles`] tells of them.

use std::collections::{HashMap, VecDeque};

use crate::model::{Flow, Table};
use crate::names::TableName;
use crate::source::Place;

/// One reading of a table by a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The table that is read.
    pub from: usize,
    /// The table that is fed.
    pub to: usize,
    /// The flow, as an index into the project's flows.
    pub flow: usize,
    /// The relation, as an index into the query's relations.
    pub relation: usize,
    /// Whether it is read as a stream.
    pub streaming: bool,
    /// Whether it is the table's quarantine that is read.
    pub quarantine: bool,
    /// Where it is read.
    pub place: Place,
}

/// The tables of a project with the edges between them.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    names: HashMap<TableName, usize>,
    flows: Vec<Vec<usize>>,
    edges: Vec<Edge>,
    incoming: Vec<Vec<usize>>,
    outgoing: Vec<Vec<usize>>,
    order: Vec<usize>,
    levels: Vec<usize>,
}

impl Graph {
    /// The graph of these tables and flows. Of two tables with one name, the first counts; flows
    /// and relations whose table does not exist have no edge.
    pub fn new(tables: &[Table], flows: &[Flow]) -> Self {
        let mut graph = Self {
            names: HashMap::with_capacity(tables.len()),
            flows: vec![Vec::new(); tables.len()],
            incoming: vec![Vec::new(); tables.len()],
            outgoing: vec![Vec::new(); tables.len()],
            ..Self::default()
        };
        for (index, table) in tables.iter().enumerate() {
            graph.names.entry(table.name.clone()).or_insert(index);
        }
        for (index, flow) in flows.iter().enumerate() {
            if let Some(to) = graph.index(&flow.target) {
                graph.flows[to].push(index);
                graph.add_edges(index, flow, to);
            }
        }
        graph.sort();
        graph
    }

    fn add_edges(&mut self, index: usize, flow: &Flow, to: usize) {
        for (relation_index, relation) in flow.query.relations.iter().enumerate() {
            let Some(name) = relation.target.table() else {
                continue;
            };
            let own = self.index(name);
            let of_quarantine = || name.quarantine_of().and_then(|table| self.index(&table));
            let Some(from) = own.or_else(of_quarantine) else {
                continue;
            };
            let edge = self.edges.len();
            self.edges.push(Edge {
                from,
                to,
                flow: index,
                relation: relation_index,
                streaming: relation.streaming,
                quarantine: own.is_none(),
                place: relation.place,
            });
            self.outgoing[from].push(edge);
            self.incoming[to].push(edge);
        }
    }

    /// Puts the tables in order, the read before the fed, otherwise as they are declared.
    fn sort(&mut self) {
        let count = self.incoming.len();
        let mut waiting: Vec<usize> = self.incoming.iter().map(Vec::len).collect();
        let mut level = vec![0; count];
        let mut ready: VecDeque<usize> = (0..count).filter(|&node| waiting[node] == 0).collect();
        while let Some(node) = ready.pop_front() {
            self.order.push(node);
            for &edge in &self.outgoing[node] {
                let to = self.edges[edge].to;
                level[to] = level[to].max(level[node] + 1);
                waiting[to] -= 1;
                if waiting[to] == 0 {
                    ready.push_back(to);
                }
            }
        }
        self.levels = level;
    }

    /// The table of this name.
    pub fn index(&self, name: &TableName) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// How many tables there are.
    pub fn len(&self) -> usize {
        self.incoming.len()
    }

    /// Whether there is no table.
    pub fn is_empty(&self) -> bool {
        self.incoming.is_empty()
    }

    /// The tables in the order in which they can be refreshed: every table after all that it reads.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// How many edges lie on the longest way to the table; tables of one level do not read each
    /// other. Not meaningful for tables that are not in the order.
    pub fn level(&self, table: usize) -> usize {
        self.levels.get(table).copied().unwrap_or(0)
    }

    /// All edges, by flow and relation.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The edges into a table: what it reads.
    pub fn incoming(&self, table: usize) -> impl Iterator<Item = &Edge> {
        let edges = self.incoming.get(table).map_or(&[][..], Vec::as_slice);
        edges.iter().map(|&edge| &self.edges[edge])
    }

    /// The edges out of a table: what reads it.
    pub fn outgoing(&self, table: usize) -> impl Iterator<Item = &Edge> {
        let edges = self.outgoing.get(table).map_or(&[][..], Vec::as_slice);
        edges.iter().map(|&edge| &self.edges[edge])
    }

    /// The flows into a table, as indices into the project's flows.
    pub fn flows_into(&self, name: &TableName) -> &[usize] {
        self.index(name)
            .and_then(|table| self.flows.get(table))
            .map_or(&[], Vec::as_slice)
    }

    /// The given tables and all that they read, directly or not, in order.
    pub fn with_upstream(&self, tables: &[usize]) -> Vec<usize> {
        self.reachable(tables, |node| {
            self.incoming(node).map(|edge| edge.from).collect()
        })
    }

    /// The given tables and all that read them, directly or not, in order.
    pub fn with_downstream(&self, tables: &[usize]) -> Vec<usize> {
        self.reachable(tables, |node| {
            self.outgoing(node).map(|edge| edge.to).collect()
        })
    }

    fn reachable(&self, tables: &[usize], next: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
        let mut seen = vec![false; self.len()];
        let mut pending = tables.to_vec();
        while let Some(node) = pending.pop() {
            if node < seen.len() && !seen[node] {
                seen[node] = true;
                pending.extend(next(node));
            }
        }
        self.order
            .iter()
            .copied()
            .filter(|&node| seen[node])
            .collect()
    }

    /// A shortest circle through each group of tables that feed each other, as edges: each ends
    /// where the next begins, and the last where the first began.
    pub fn cycles(&self) -> Vec<Vec<&Edge>> {
        let mut left = vec![true; self.len()];
        for &node in &self.order {
            left[node] = false;
        }
        self.prune_behind(&mut left);
        let mut cycles = Vec::new();
        for node in 0..self.len() {
            if !left[node] {
                continue;
            }
            if let Some(cycle) = self.shortest_cycle(node, &left) {
                for edge in &cycle {
                    left[edge.from] = false;
                }
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// Takes away the tables that are behind a circle, but on none.
    fn prune_behind(&self, left: &mut [bool]) {
        let mut readers: Vec<usize> = (0..self.len())
            .map(|node| self.outgoing(node).filter(|edge| left[edge.to]).count())
            .collect();
        let mut pending: Vec<usize> = (0..self.len())
            .filter(|&node| left[node] && readers[node] == 0)
            .collect();
        while let Some(node) = pending.pop() {
            left[node] = false;
            for edge in self.incoming(node) {
                readers[edge.from] -= 1;
                if left[edge.from] && readers[edge.from] == 0 {
                    pending.push(edge.from);
                }
            }
        }
    }

    fn shortest_cycle(&self, start: usize, left: &[bool]) -> Option<Vec<&Edge>> {
        let mut reached_by: Vec<Option<usize>> = vec![None; self.len()];
        let mut pending = VecDeque::from([start]);
        while let Some(node) = pending.pop_front() {
            for &edge in &self.outgoing[node] {
                let to = self.edges[edge].to;
                if !left[to] || reached_by[to].is_some() {
                    continue;
                }
                reached_by[to] = Some(edge);
                if to == start {
                    return Some(self.walk_back(start, &reached_by));
                }
                pending.push_back(to);
            }
        }
        None
    }

    fn walk_back(&self, start: usize, reached_by: &[Option<usize>]) -> Vec<&Edge> {
        let mut cycle = Vec::new();
        let mut node = start;
        while let Some(edge) = reached_by[node].map(|edge| &self.edges[edge]) {
            cycle.push(edge);
            node = edge.from;
            if node == start {
                break;
            }
        }
        cycle.reverse();
        cycle
    }
}
