//! Handles come and go: copies of them, and what follows when one is dropped.

use super::arena::{self, Garbage, WorkList, release_after};
use super::node::NodeId;
use super::tensor::Tensor;
use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;

impl Clone for Tensor {
    /// Another handle on the same value. Where identity matters, because a gradient may
    /// flow to it or an object of the embedder stands for it, it is given a node for that.
    fn clone(&self) -> Self {
        if self.node_id().is_none() {
            let local = self.local.lock();
            if let Some(local) = local.as_ref()
                && !local.requires_grad
                && self.embedder.load(Ordering::Relaxed) == 0
            {
                return Self::from_value(local.value.clone(), false);
            }
        }
        let id = self.promote();
        Self::adopt_more(&mut arena::lock(), id)
    }
}

impl Tensor {
    /// Drops many handles under one lock.
    pub(super) fn release(tensors: impl Iterator<Item = Self>) {
        release_after(|arena, garbage, work| {
            for tensor in tensors {
                // What `Drop` would do, but with the lock that is held already.
                let mut tensor = ManuallyDrop::new(tensor);
                match tensor.node_id() {
                    Some(id) => {
                        let word = *tensor.embedder.get_mut();
                        drop_handle(arena, id, word, garbage, work);
                    }
                    None => garbage.value(tensor.local.get_mut().take().map(|local| local.value)),
                }
            }
        });
    }
}

/// A handle goes, and with it the embedder's object; another object that has taken its
/// place on the node stays.
#[inline]
fn drop_handle(
    arena: &mut arena::Arena,
    id: NodeId,
    word: usize,
    garbage: &mut Garbage,
    work: &mut WorkList,
) {
    if word != 0 && arena.node(id).embedder == word {
        arena.set_embedder(id, 0);
    }
    let node = arena.node_mut(id);
    node.handles -= 1;
    if node.handles > 0 {
        return;
    }
    if node.edges == 0 {
        work.push(id);
    } else {
        arena.drop_value_if_unneeded(id, garbage);
    }
}

impl Drop for Tensor {
    #[inline]
    fn drop(&mut self) {
        if let Some(id) = self.node_id() {
            let word = *self.embedder.get_mut();
            release_after(|arena, garbage, work| drop_handle(arena, id, word, garbage, work));
        }
    }
}
