//! The estimated cost of a rule, in CEL cost units: the range of the costs for all values that the schema allows.
//!
//! This module owns the estimates of all expressions except calls; `calls` has the estimates of operators and
//! functions. The API server rejects a CustomResourceDefinition if an estimate exceeds a limit, so these estimates
//! must equal those of the API server. [`actual_cost`] has the costs of evaluated calls, which are not estimates.

pub(super) mod actual_cost;
mod calls;
pub(super) mod range;

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, ListExpr, LiteralValue, MapExpr, SelectExpr,
    operators as op,
};

use self::range::Range;
use super::check::CheckedExpression;
use super::declared_types::{DeclaredType, Shape};
use super::macros::RESULT;
use super::types::Type;

/// The cost of traversing a string, per character.
pub(super) const TRAVERSAL_COST: f64 = 0.1;
/// The cost of a regular expression, per character.
pub(super) const REGEX_COST: f64 = 0.25;
/// The cost of creating a list.
pub(super) const LIST_CREATION_COST: u64 = 10;
/// The cost of creating a map.
pub(super) const MAP_CREATION_COST: u64 = 30;
/// The cost of creating a message.
pub(super) const MESSAGE_CREATION_COST: u64 = 40;

/// Estimates the cost of an expression. `root` is the declared type of the CEL variable `self`.
pub(super) fn estimate(checked: &CheckedExpression, root: &Arc<DeclaredType>) -> Range {
    let mut estimator = Estimator {
        checked,
        root,
        paths: HashMap::new(),
        variables: Vec::new(),
        sizes: HashMap::new(),
        entry_sizes: HashMap::new(),
    };
    estimator.cost(&checked.parsed.expr)
}

/// The path of a value: the name of a variable, followed by field names and the steps `@items`, `@keys`, `@values` and
/// `@indices`. Empty if the value is not part of a variable.
type Path = Vec<String>;

/// The ranges of the sizes of the keys and values in a map, or of the indexes and items in a list.
#[derive(Clone, Copy, Debug)]
struct EntrySizes {
    is_list: bool,
    key: Range,
    value: Range,
}

impl EntrySizes {
    /// The union of the entry sizes of two lists or maps; `None` if the sizes of one are not known.
    fn union(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        let (a, b) = (a?, b?);
        Some(Self { is_list: a.is_list, key: a.key.union(b.key), value: a.value.union(b.value) })
    }
}

/// A variable of a comprehension.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    path: Path,
    size: Option<Range>,
    entry_sizes: Option<EntrySizes>,
}

/// An estimate in progress. The keys of the hash maps are ids of AST nodes.
struct Estimator<'a> {
    checked: &'a CheckedExpression,
    /// The declared type of the CEL variable `self`.
    root: &'a Arc<DeclaredType>,
    paths: HashMap<u64, Path>,
    /// The variables of the comprehensions around the current AST node. A later variable hides an earlier
    /// variable of the same name.
    variables: Vec<Variable>,
    sizes: HashMap<u64, Range>,
    entry_sizes: HashMap<u64, EntrySizes>,
}

impl Estimator<'_> {
    /// Returns the cost of `expr`, which includes the costs of all expressions in it. Stores the path and the sizes of
    /// the value of `expr`.
    fn cost(&mut self, expr: &IdedExpr) -> Range {
        match &expr.expr {
            Expr::Ident(name) => {
                let path =
                    self.variable(name).map_or_else(|| vec![name.clone()], |variable| variable.path.clone());
                self.paths.insert(expr.id, path);
                Range::ONE
            }
            Expr::Select(select) => self.select_cost(expr.id, select),
            Expr::Call(call) => self.call_cost(expr, call),
            Expr::List(list) => self.list_cost(expr.id, list),
            Expr::Map(map) => self.map_cost(expr.id, map),
            Expr::Comprehension(parts) if is_binding(parts) => self.binding_cost(expr.id, parts),
            Expr::Comprehension(parts) => self.comprehension_cost(expr.id, parts),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Range::ZERO,
        }
    }

    fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().rev().find(|variable| variable.name == name)
    }

    fn select_cost(&mut self, id: u64, select: &SelectExpr) -> Range {
        let operand = self.cost(&select.operand);
        if select.test {
            return operand;
        }
        let own = match self.checked.type_of(&select.operand) {
            Type::Map(..) | Type::Object(_) | Type::Named(_) => Range::ONE,
            _ => Range::ZERO,
        };
        let path = self.path_with_step(&select.operand, &select.field);
        self.paths.insert(id, path);
        operand.plus(own)
    }

    fn call_cost(&mut self, expr: &IdedExpr, call: &CallExpr) -> Range {
        if call.func_name == "dyn" {
            let Some(argument) = call.args.first() else { return Range::ZERO };
            let cost = self.cost(argument);
            self.copy_sizes(expr.id, argument);
            return cost.plus(Range::ONE);
        }
        let costs: Vec<Range> = call.args.iter().map(|argument| self.cost(argument)).collect();
        let target_cost = call.target.as_deref().map_or(Range::ZERO, |target| self.cost(target));
        if call.func_name == op::OPT_SELECT {
            return costs.into_iter().fold(Range::ONE, Range::plus);
        }
        let overloads = self.checked.overloads.get(&expr.id).cloned().unwrap_or_default();
        let mut cost = Range::EMPTY;
        let mut size: Option<Range> = None;
        for overload in &overloads {
            let (one, result) = self.estimate_overload(expr, call, &overload.id, &costs);
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
                size = self.entry_sizes(list).map(|entry| entry.value);
                let path = self.path_with_step(list, step);
                self.paths.insert(expr.id, path);
            }
            size = size.or_else(|| self.size(expr));
        }
        if let Some(size) = size {
            self.sizes.insert(expr.id, size);
        }
        target_cost.plus(cost)
    }

    fn list_cost(&mut self, id: u64, list: &ListExpr) -> Range {
        let mut cost = Range::fixed(LIST_CREATION_COST);
        let mut value = if list.elements.is_empty() { Range::ZERO } else { Range::EMPTY };
        for element in &list.elements {
            cost = cost.plus(self.cost(element));
            value = value.union(self.size_or_unknown(element));
        }
        self.entry_sizes.insert(id, EntrySizes { is_list: true, key: Range::ONE, value });
        cost
    }

    fn map_cost(&mut self, id: u64, map: &MapExpr) -> Range {
        let mut cost = Range::fixed(MAP_CREATION_COST);
        let start = if map.entries.is_empty() { Range::ZERO } else { Range::EMPTY };
        let (mut key, mut value) = (start, start);
        for entry in &map.entries {
            let EntryExpr::MapEntry(entry) = &entry.expr else { continue };
            cost = cost.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
            key = key.union(self.size_or_unknown(&entry.key));
            value = value.union(self.size_or_unknown(&entry.value));
        }
        self.entry_sizes.insert(id, EntrySizes { is_list: false, key, value });
        cost
    }

    fn comprehension_cost(&mut self, id: u64, parts: &ComprehensionExpr) -> Range {
        let range = &parts.iter_range;
        let cost = self.cost(range).plus(self.cost(&parts.accu_init));
        let depth = self.variables.len();
        self.push_variable(&parts.accu_var, &parts.accu_init);
        let entry = self.entry_sizes(range);
        let is_list =
            entry.map_or_else(|| matches!(self.checked.type_of(range), Type::List(_)), |entry| entry.is_list);
        let key = entry.map(|entry| entry.key);
        let value = entry.map(|entry| entry.value);
        let mut iterated = |name: &str, step: &str, size| {
            let path = self.path_with_step(range, step);
            self.variables.push(Variable { name: name.to_owned(), path, size, entry_sizes: None });
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
                if let Some(entry) = self.entry_sizes(&parts.loop_step) {
                    self.entry_sizes.insert(id, entry);
                }
            }
            _ => {}
        }
        cost.plus(result).plus(count.times(each))
    }

    /// The cost of a comprehension that only binds a name to a value; see [`is_binding`].
    fn binding_cost(&mut self, id: u64, parts: &ComprehensionExpr) -> Range {
        let cost = self.cost(&parts.iter_range).plus(self.cost(&parts.accu_init));
        let depth = self.variables.len();
        self.push_variable(&parts.accu_var, &parts.accu_init);
        let result = self.cost(&parts.result);
        self.copy_sizes(id, &parts.result);
        self.variables.truncate(depth);
        cost.plus(result)
    }

    /// Adds a variable that has the path and the sizes of `value`.
    fn push_variable(&mut self, name: &str, value: &IdedExpr) {
        let variable = Variable {
            name: name.to_owned(),
            path: self.path(value),
            size: self.size(value),
            entry_sizes: self.entry_sizes(value),
        };
        self.variables.push(variable);
    }

    /// The path of the value of an expression.
    fn path(&self, expr: &IdedExpr) -> Path {
        if let Expr::Ident(name) = &expr.expr
            && let Some(variable) = self.variable(name)
        {
            return variable.path.clone();
        }
        self.paths.get(&expr.id).cloned().unwrap_or_default()
    }

    /// The path of the value of an expression, followed by `step`.
    fn path_with_step(&self, expr: &IdedExpr, step: &str) -> Path {
        let mut path = self.path(expr);
        path.push(step.to_owned());
        path
    }

    /// Copies the known sizes of the value of `from` to the AST node `id`.
    fn copy_sizes(&mut self, id: u64, from: &IdedExpr) {
        if let Some(size) = self.size(from) {
            self.sizes.insert(id, size);
        }
        if let Some(entry) = self.entry_sizes(from) {
            self.entry_sizes.insert(id, entry);
        }
    }

    /// The size of a value; [`Range::UNKNOWN`] if it is not known.
    fn size_or_unknown(&mut self, expr: &IdedExpr) -> Range {
        self.size(expr).unwrap_or(Range::UNKNOWN)
    }

    /// The size of a value, if the size is known. The size of a string, `bytes` value, list or map is the number of its
    /// characters, bytes, items or entries.
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

    /// The sizes of the entries of a list or map, if they are known.
    fn entry_sizes(&self, expr: &IdedExpr) -> Option<EntrySizes> {
        if let Some(entry) = self.entry_sizes.get(&expr.id) {
            return Some(*entry);
        }
        match &expr.expr {
            Expr::Ident(name) => self.variable(name).and_then(|variable| variable.entry_sizes),
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
                    Shape::Map { key_size, .. } => return Some(Range { min: 0, max: key_size }),
                    _ => return None,
                },
                name => match &current.shape {
                    // An expression can select an entry of a map like a field (`map.name`). The API server
                    // then knows the size of the entry only if the entry is a device attribute.
                    Shape::Map { entry, .. } if matches!(entry.shape, Shape::DeviceAttribute) => entry,
                    _ => &current.field(name)?.declared,
                },
            };
        }
        Some(Range { min: 0, max: current.max_elements })
    }

    /// The path of a value; `None` if the path is unknown, or begins with the accumulator of a comprehension.
    fn known_path(&self, expr: &IdedExpr) -> Option<Path> {
        let path = self.path(expr);
        path.first().filter(|first| first.as_str() != RESULT && first.as_str() != "__result__")?;
        Some(path)
    }
}

/// Whether a comprehension only binds a name to a value, as in the expansion of `optMap`: its range is an empty list
/// literal, its loop condition is `false`, and its accumulator is not `__result__`.
fn is_binding(parts: &ComprehensionExpr) -> bool {
    matches!(&parts.iter_range.expr, Expr::List(list) if list.elements.is_empty())
        && matches!(&parts.loop_cond.expr, Expr::Literal(LiteralValue::Boolean(value)) if !*value.inner())
        && parts.accu_var != "__result__"
}
