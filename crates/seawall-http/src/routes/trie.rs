//! Finds the first of many patterns that matches a path: a radix trie over bytes.
//!
//! A router's usual trie prefers text to wildcards. Here the order of the patterns decides, so each
//! node knows the earliest pattern at or below it, and a branch that has none before the best found
//! so far is not searched.

use http::Method;

/// An index of nobody.
const NONE: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct Trie {
    /// The root is the first one. It has no text.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
struct Node {
    /// The bytes from the parent to here; none below a wildcard.
    text: Box<[u8]>,
    /// The first byte of each child's text, and the children in the same order.
    bytes: Vec<u8>,
    children: Vec<u32>,
    /// What follows one non-empty segment, whatever its text.
    wildcard: Option<u32>,
    /// The patterns that end here, and those that leave the rest open.
    closed: Vec<Entry>,
    open: Vec<Entry>,
    /// The earliest pattern at or below this node.
    earliest: u32,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Any method, if there is none.
    method: Option<Method>,
    index: u32,
}

impl Trie {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::new(&[], 0)],
        }
    }

    /// Adds a pattern in its plain form: `*` is a wildcard segment, and `open` means any rest, also
    /// none. `index` is greater than those before.
    pub(super) fn insert(&mut self, plain: &str, open: bool, method: Option<Method>, index: u32) {
        let mut at = 0;
        for (i, text) in plain.split('*').enumerate() {
            if i > 0 {
                at = self.wildcard(at, index);
            }
            at = self.text(at, text.as_bytes(), index);
        }
        let node = &mut self.nodes[at as usize];
        let entries = if open {
            &mut node.open
        } else {
            &mut node.closed
        };
        entries.push(Entry { method, index });
    }

    fn wildcard(&mut self, at: u32, index: u32) -> u32 {
        if let Some(child) = self.nodes[at as usize].wildcard {
            return child;
        }
        let child = self.push(Node::new(&[], index));
        self.nodes[at as usize].wildcard = Some(child);
        child
    }

    fn text(&mut self, mut at: u32, mut text: &[u8], index: u32) -> u32 {
        while let Some(&byte) = text.first() {
            let Some(child) = self.nodes[at as usize].child(byte) else {
                let child = self.push(Node::new(text, index));
                self.nodes[at as usize].adopt(byte, child);
                return child;
            };
            let common = common_prefix(&self.nodes[child as usize].text, text);
            self.split(child, common);
            at = child;
            text = &text[common..];
        }
        at
    }

    /// Lets a node end after `length` bytes of its text. It keeps its number, so that its parent
    /// still finds it.
    fn split(&mut self, at: u32, length: usize) {
        let node = &mut self.nodes[at as usize];
        let (head, rest) = node.text.split_at(length);
        let Some(&byte) = rest.first() else {
            return;
        };
        let upper = Node::new(head, node.earliest);
        let rest = rest.into();
        let mut lower = std::mem::replace(node, upper);
        lower.text = rest;
        let lower = self.push(lower);
        self.nodes[at as usize].adopt(byte, lower);
    }

    fn push(&mut self, node: Node) -> u32 {
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    /// The first pattern for `path` and `method`. Without a method, it is one that takes any.
    ///
    /// No pattern has `*` as a text, so a segment `*` of the path is matched by wildcards alone.
    pub(super) fn find(&self, method: Option<&Method>, path: &str) -> Option<usize> {
        let mut search = Search {
            trie: self,
            method,
            best: NONE,
        };
        if path.starts_with('/') {
            search.walk(&self.nodes[0], path.as_bytes());
        }
        (search.best != NONE).then_some(search.best as usize)
    }
}

impl Node {
    fn new(text: &[u8], earliest: u32) -> Self {
        Self {
            text: text.into(),
            bytes: Vec::new(),
            children: Vec::new(),
            wildcard: None,
            closed: Vec::new(),
            open: Vec::new(),
            earliest,
        }
    }

    fn child(&self, byte: u8) -> Option<u32> {
        let position = self.bytes.iter().position(|b| *b == byte)?;
        Some(self.children[position])
    }

    fn adopt(&mut self, byte: u8, child: u32) {
        self.bytes.push(byte);
        self.children.push(child);
    }
}

struct Search<'a> {
    trie: &'a Trie,
    method: Option<&'a Method>,
    best: u32,
}

impl<'a> Search<'a> {
    /// Searches from `node` on, whose own text has matched, for patterns that match `rest`.
    ///
    /// Calls itself only where a text and a wildcard both go on.
    fn walk(&mut self, mut node: &'a Node, mut rest: &'a [u8]) {
        while node.earliest < self.best {
            let Some(&byte) = rest.first() else {
                self.accept(&node.closed);
                self.accept(&node.open);
                return;
            };
            if byte == b'/' {
                self.accept(&node.open);
            }
            let text = node.child(byte).and_then(|child| {
                let child = &self.trie.nodes[child as usize];
                Some((child, rest.strip_prefix(&*child.text)?))
            });
            let wildcard = node.wildcard.and_then(|child| {
                let after = after_segment(rest)?;
                Some((&self.trie.nodes[child as usize], after))
            });
            (node, rest) = match (text, wildcard) {
                (Some(text), Some(wildcard)) => {
                    // The earlier one first: if it matches, the other is not searched far.
                    let (first, second) = if text.0.earliest < wildcard.0.earliest {
                        (text, wildcard)
                    } else {
                        (wildcard, text)
                    };
                    self.walk(first.0, first.1);
                    second
                }
                (Some(next), None) | (None, Some(next)) => next,
                (None, None) => return,
            };
        }
    }

    fn accept(&mut self, entries: &[Entry]) {
        let found = entries
            .iter()
            .find(|e| e.method.is_none() || e.method.as_ref() == self.method);
        if let Some(entry) = found {
            self.best = self.best.min(entry.index);
        }
    }
}

/// What follows the segment at the start of `path`, unless that is empty.
fn after_segment(path: &[u8]) -> Option<&[u8]> {
    let length = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
    (length > 0).then(|| &path[length..])
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
