//! The estimated cost of a rule, in units of about 50 ns, for the worst case that the limits of the schema allow.
//!
//! Owns the estimate for all kinds of expressions; `calls` has that of operators and functions. The API server refuses
//! a definition by these numbers, so they must equal its numbers.

pub(super) mod actual;
mod calls;
pub(super) mod range;

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr,
    operators as op,
};

use self::range::Range;
use super::check::Checked;
use super::declared::Declared;
use super::macros::RESULT;
use super::types::Type;

/// The cost of traversing a string, per character.
pub(super) const TRAVERSAL: f64 = 0.1;
/// The cost of a regular expression, per character.
pub(super) const REGEX: f64 = 0.25;
pub(super) const LIST: u64 = 10;
pub(super) const MAP: u64 = 30;

/// Estimates the cost of an expression. `root` is the declared type of `self`.
pub(super) fn estimate(checked: &Checked, root: &Arc<Declared>) -> Range {
    let mut estimator = Estimator {
        checked,
        root,
        paths: HashMap::new(),
        variables: Vec::new(),
        sizes: HashMap::new(),
        entries: HashMap::new(),
    };
    estimator.cost(&checked.parsed.expr)
}

/// The path of a value from a variable: names of fields, `@items`, `@keys`, `@values`, `@indices`. Empty if the value
/// is not part of a variable.
type Path = Vec<String>;

/// The sizes of the keys and of the values of a list or map.
#[derive(Clone, Copy, Debug)]
struct Entry {
    is_list: bool,
    key: Range,
    value: Range,
}

impl Entry {
    fn union(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (a, b) = (a?, b?);
        Some(Self { is_list: a.is_list, key: a.key.union(b.key), value: a.value.union(b.value) })
    }
}

#[derive(Clone, Debug)]
struct Variable {
    name: String,
    path: Path,
    size: Option<Range>,
    entry: Option<Entry>,
}

struct Estimator<'a> {
    checked: &'a Checked,
    root: &'a Arc<Declared>,
    paths: HashMap<u64, Path>,
    variables: Vec<Variable>,
    sizes: HashMap<u64, Range>,
    entries: HashMap<u64, Entry>,
}

impl Estimator<'_> {
    fn cost(&mut self, expr: &IdedExpr) -> Range {
        match &expr.expr {
            Expr::Ident(name) => {
                let path =
                    self.variable(name).map_or_else(|| vec![name.clone()], |variable| variable.path.clone());
                self.paths.insert(expr.id, path);
                Range::ONE
            }
            Expr::Select(select) => self.select(expr.id, select),
            Expr::Call(call) => self.call(expr, call),
            Expr::List(list) => self.list(expr.id, list),
            Expr::Map(map) => self.map(expr.id, map),
            Expr::Comprehension(parts) if is_binding(parts) => self.binding(expr.id, parts),
            Expr::Comprehension(parts) => self.comprehension(expr.id, parts),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Range::ZERO,
        }
    }

    fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().rev().find(|variable| variable.name == name)
    }

    fn select(&mut self, id: u64, select: &SelectExpr) -> Range {
        let operand = self.cost(&select.operand);
        if select.test {
            return operand;
        }
        let own = match self.checked.type_of(&select.operand) {
            Type::Map(..) | Type::Object(_) | Type::Named(_) => Range::ONE,
            _ => Range::ZERO,
        };
        let path = self.extended(&select.operand, &select.field);
        self.paths.insert(id, path);
        operand.plus(own)
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Range {
        if call.func_name == "dyn" {
            let Some(argument) = call.args.first() else { return Range::ZERO };
            let cost = self.cost(argument);
            self.copy_sizes(expr.id, argument);
            return cost.plus(Range::ONE);
        }
        let costs: Vec<Range> = call.args.iter().map(|argument| self.cost(argument)).collect();
        let target = call.target.as_deref().map_or(Range::ZERO, |target| self.cost(target));
        if call.func_name == op::OPT_SELECT {
            return costs.into_iter().fold(Range::ONE, Range::plus);
        }
        let overloads = self.checked.overloads.get(&expr.id).cloned().unwrap_or_default();
        let mut cost = Range::EMPTY;
        let mut size: Option<Range> = None;
        for overload in &overloads {
            let (one, result) = self.overload(expr, call, &overload.id, &costs);
            cost = cost.union(one);
            size = match (size, result) {
                (Some(a), Some(b)) => Some(a.union(b)),
                (a, b) => a.or(b),
            };
            let step = match overload.id.as_str() {
                "index_list" => Some("@items"),
                "index_map" => Some("@values"),
                _ => None,
            };
            if let (Some(step), Some(list)) = (step, call.args.first()) {
                size = self.entry(list).map(|entry| entry.value);
                let path = self.extended(list, step);
                self.paths.insert(expr.id, path);
            }
            size = size.or_else(|| self.size(expr));
        }
        if let Some(size) = size {
            self.sizes.insert(expr.id, size);
        }
        target.plus(cost)
    }

    fn list(&mut self, id: u64, list: &ListExpr) -> Range {
        let mut cost = Range::fixed(LIST);
        let mut value = if list.elements.is_empty() { Range::ZERO } else { Range::EMPTY };
        for element in &list.elements {
            cost = cost.plus(self.cost(element));
            value = value.union(self.size_or_unknown(element));
        }
        self.entries.insert(id, Entry { is_list: true, key: Range::ONE, value });
        cost
    }

    fn map(&mut self, id: u64, map: &MapExpr) -> Range {
        let mut cost = Range::fixed(MAP);
        let start = if map.entries.is_empty() { Range::ZERO } else { Range::EMPTY };
        let (mut key, mut value) = (start, start);
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            cost = cost.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
            key = key.union(self.size_or_unknown(&entry.key));
            value = value.union(self.size_or_unknown(&entry.value));
        }
        self.entries.insert(id, Entry { is_list: false, key, value });
        cost
    }

    fn comprehension(&mut self, id: u64, parts: &ComprehensionExpr) -> Range {
        let range = &parts.iter_range;
        let cost = self.cost(range).plus(self.cost(&parts.accu_init));
        let depth = self.variables.len();
        self.push_binding(&parts.accu_var, &parts.accu_init);
        let entry = self.entry(range);
        let is_list =
            entry.map_or_else(|| matches!(self.checked.type_of(range), Type::List(_)), |entry| entry.is_list);
        let key = entry.map(|entry| entry.key);
        let value = entry.map(|entry| entry.value);
        let mut iterated = |name: &str, step: &str, size| {
            let path = self.extended(range, step);
            self.variables.push(Variable { name: name.to_owned(), path, size, entry: None });
        };
        match (&parts.iter_var2, is_list) {
            (Some(second), true) => {
                iterated(&parts.iter_var, "@indices", key);
                iterated(second, "@items", value);
            }
            (Some(second), false) => {
                iterated(&parts.iter_var, "@keys", key);
                iterated(second, "@values", value);
            }
            (None, true) => iterated(&parts.iter_var, "@items", value),
            (None, false) => iterated(&parts.iter_var, "@keys", key),
        }
        let each = self.cost(&parts.loop_cond).plus(self.cost(&parts.loop_step));
        self.variables.truncate(depth + 1);
        let result = self.cost(&parts.result);
        self.variables.truncate(depth);
        let count = self.size_or_unknown(range);
        match &parts.accu_init.expr {
            Expr::Literal(_) => {
                if let Some(size) = self.size(&parts.accu_init) {
                    self.sizes.insert(id, size);
                }
            }
            Expr::List(_) | Expr::Map(_) => {
                self.sizes.insert(id, count);
                if let Some(entry) = self.entry(&parts.loop_step) {
                    self.entries.insert(id, entry);
                }
            }
            _ => {}
        }
        cost.plus(result).plus(count.times(each))
    }

    fn binding(&mut self, id: u64, parts: &ComprehensionExpr) -> Range {
        let cost = self.cost(&parts.iter_range).plus(self.cost(&parts.accu_init));
        let depth = self.variables.len();
        self.push_binding(&parts.accu_var, &parts.accu_init);
        let result = self.cost(&parts.result);
        self.copy_sizes(id, &parts.result);
        self.variables.truncate(depth);
        cost.plus(result)
    }

    fn push_binding(&mut self, name: &str, value: &IdedExpr) {
        let variable = Variable {
            name: name.to_owned(),
            path: self.path(value),
            size: self.size(value),
            entry: self.entry(value),
        };
        self.variables.push(variable);
    }

    fn path(&self, expr: &IdedExpr) -> Path {
        if let Expr::Ident(name) = &expr.expr
            && let Some(variable) = self.variable(name)
        {
            return variable.path.clone();
        }
        self.paths.get(&expr.id).cloned().unwrap_or_default()
    }

    fn extended(&self, expr: &IdedExpr, step: &str) -> Path {
        let mut path = self.path(expr);
        path.push(step.to_owned());
        path
    }

    fn copy_sizes(&mut self, id: u64, from: &IdedExpr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(id, size);
        }
        if let Some(entry) = self.entry(from) {
            self.entries.insert(id, entry);
        }
    }

    fn size_or_unknown(&mut self, expr: &IdedExpr) -> Range {
        self.size(expr).unwrap_or(Range::UNKNOWN)
    }

    /// The size of a value, if it is known: the number of its characters, bytes, items or entries.
    fn size(&mut self, expr: &IdedExpr) -> Option<Range> {
        if let Some(size) = self.sizes.get(&expr.id) {
            return Some(*size);
        }
        match &expr.expr {
            Expr::Literal(LiteralValue::String(text)) => {
                return Some(Range::fixed(text.chars().count() as u64));
            }
            Expr::Literal(LiteralValue::Bytes(bytes)) => return Some(Range::fixed(bytes.len() as u64)),
            Expr::Literal(_) => return Some(Range::ONE),
            Expr::List(list) => return Some(Range::fixed(list.elements.len() as u64)),
            Expr::Map(map) => return Some(Range::fixed(map.entries.len() as u64)),
            _ => {}
        }
        if let Some(size) = self.declared_size(&self.path(expr)) {
            self.sizes.insert(expr.id, size);
            return Some(size);
        }
        if self.checked.type_of(expr).is_scalar() {
            return Some(Range::ONE);
        }
        match &expr.expr {
            Expr::Ident(name) => self.variable(name).and_then(|variable| variable.size),
            _ => None,
        }
    }

    fn entry(&self, expr: &IdedExpr) -> Option<Entry> {
        if let Some(entry) = self.entries.get(&expr.id) {
            return Some(*entry);
        }
        match &expr.expr {
            Expr::Ident(name) => self.variable(name).and_then(|variable| variable.entry),
            _ => None,
        }
    }

    /// The size that the schema allows for the value at a path.
    fn declared_size(&self, path: &[String]) -> Option<Range> {
        let mut current = self.root;
        for step in path.get(1..)? {
            current = match step.as_str() {
                "@items" | "@values" => current.element()?,
                "@keys" => match current.shape {
                    // The length of a key has no limit of its own, which the API server counts as 0.
                    super::declared::Shape::Map(_) => return Some(Range::ZERO),
                    _ => return None,
                },
                name => &current.field(name)?.declared,
            };
        }
        Some(Range { min: 0, max: current.max_elements })
    }

    /// The path of the value if it is known and not that of an accumulator.
    fn rooted_path(&self, expr: &IdedExpr) -> Option<Path> {
        let path = self.path(expr);
        path.first().filter(|first| first.as_str() != RESULT && first.as_str() != "__result__")?;
        Some(path)
    }
}

/// Whether the comprehension only binds a name to a value.
fn is_binding(parts: &ComprehensionExpr) -> bool {
    matches!(&parts.iter_range.expr, Expr::List(list) if list.elements.is_empty())
        && matches!(&parts.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(value)) if !*value.inner())
        && parts.accu_var != "__result__"
}
