//! The owner of each element of each parameter.

use std::ops::Range;

use super::balance::cut;
use super::error::FsdpError;
use super::slab::ParameterSize;
use crate::sparseloco::chunks::ChunkGrid;

/// A range of elements of a parameter that one member owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The owner.
    pub member: usize,
    /// Elements of the parameter, row by row.
    pub range: Range<usize>,
}

/// The division of a network among members. It needs no weights.
///
/// Parameters are identified by their place in canonical order, and so are the units that group
/// them. A unit is treated as one vector of its parameters. Each member owns one contiguous range
/// of it.
///
/// - Every element has one owner. Ranges follow each other in the order of members; some may be
///   empty.
/// - Cuts are at multiples of the alignment of a parameter.
/// - Over all units every member owns an even share, up to about the largest alignment.
/// - A plan depends only on its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    units: Vec<UnitPlan>,
    parameters: Vec<ParameterPlan>,
    pieces: Vec<Piece>,
    owned: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct UnitPlan {
    parameters: Range<usize>,
    /// Elements of the unit that each member owns.
    shares: Vec<Range<usize>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ParameterPlan {
    unit: usize,
    elements: usize,
    pieces: Range<usize>,
}

impl Plan {
    /// Divides `units`, lists of parameters, among `members`.
    ///
    /// # Errors
    ///
    /// [`FsdpError`] if there are no members or more than runs that can be owned, or a unit or a
    /// parameter is empty.
    pub fn new(members: usize, units: Vec<Vec<ParameterSize>>) -> Result<Self, FsdpError> {
        check(members, &units)?;
        let empty = Self {
            units: Vec::new(),
            parameters: Vec::new(),
            pieces: Vec::new(),
            owned: vec![0; members],
        };
        Ok(units.iter().fold(empty, |mut plan, sizes| {
            plan.add_unit(sizes);
            plan
        }))
    }

    /// Adds the next unit.
    fn add_unit(&mut self, sizes: &[ParameterSize]) {
        let mut start = 0;
        let shares: Vec<Range<usize>> = cut(sizes, &self.owned)
            .into_iter()
            .map(|end| std::mem::replace(&mut start, end)..end)
            .collect();
        // `owned` carries the balance from unit to unit: `cut` reads it for the next one.
        self.owned.iter_mut().zip(&shares).for_each(|(owned, share)| *owned += share.len());
        let (first, mut place) = (self.parameters.len(), 0);
        for size in sizes {
            self.add_parameter(place, size.elements, &shares);
            place += size.elements;
        }
        self.units.push(UnitPlan { parameters: first..self.parameters.len(), shares });
    }

    /// Adds a parameter of the next unit; it begins at element `place` of that unit.
    fn add_parameter(&mut self, place: usize, elements: usize, shares: &[Range<usize>]) {
        let first = self.pieces.len();
        for (member, share) in shares.iter().enumerate() {
            let range = share.start.max(place)..share.end.min(place + elements);
            if !range.is_empty() {
                self.pieces.push(Piece { member, range: range.start - place..range.end - place });
            }
        }
        let pieces = first..self.pieces.len();
        self.parameters.push(ParameterPlan { unit: self.units.len(), elements, pieces });
    }

    /// The number of members.
    pub fn members(&self) -> usize {
        self.owned.len()
    }

    /// The number of units.
    pub fn num_units(&self) -> usize {
        self.units.len()
    }

    /// The number of parameters.
    pub fn num_parameters(&self) -> usize {
        self.parameters.len()
    }

    /// The number of elements of a parameter.
    pub fn elements(&self, parameter: usize) -> usize {
        self.parameters[parameter].elements
    }

    /// The unit of a parameter.
    pub fn unit_of(&self, parameter: usize) -> usize {
        self.parameters[parameter].unit
    }

    /// The parameters of a unit.
    pub fn parameters(&self, unit: usize) -> Range<usize> {
        self.units[unit].parameters.clone()
    }

    /// The pieces of a parameter: ascending, none empty, without a gap.
    pub fn pieces(&self, parameter: usize) -> &[Piece] {
        &self.pieces[self.piece_places(parameter)]
    }

    /// The range of a unit, taken as one vector, that a member owns.
    pub fn share(&self, unit: usize, member: usize) -> Range<usize> {
        self.units[unit].shares[member].clone()
    }

    /// The number of elements that a member owns over all units.
    pub fn owned(&self, member: usize) -> usize {
        self.owned[member]
    }

    /// The number of elements of a unit.
    pub fn unit_elements(&self, unit: usize) -> usize {
        self.units[unit].shares.last().map_or(0, |last| last.end)
    }

    /// The number of elements of each member in a collective of a unit: the largest share.
    pub fn padded(&self, unit: usize) -> usize {
        self.units[unit].shares.iter().map(Range::len).max().unwrap_or(0)
    }

    /// The unit with the most elements; the first of equals.
    pub fn largest_unit(&self) -> usize {
        // `max_by_key` returns the last of equals, hence `rev`.
        let units = (0..self.num_units()).rev();
        units.max_by_key(|unit| self.unit_elements(*unit)).unwrap_or(0)
    }

    /// The slabs of each piece of a parameter, given the chunks of the compression of a run: member
    /// and slabs.
    ///
    /// # Errors
    ///
    /// [`FsdpError::ChunkCut`] if a piece ends inside a slab. This cannot happen with the alignment
    /// of [`slab_alignment`](super::slab::slab_alignment).
    pub fn slabs(
        &self,
        parameter: usize,
        grid: &ChunkGrid,
    ) -> Result<Vec<(usize, Range<usize>)>, FsdpError> {
        let slab = grid.slab_len();
        let slabs = self.pieces(parameter).iter().map(|piece| {
            let Range { start, end } = piece.range;
            // Starts suffice: a piece ends where the next one starts, or with the parameter.
            if start.is_multiple_of(slab) {
                Ok((piece.member, start / slab..end.div_ceil(slab)))
            } else {
                Err(FsdpError::ChunkCut { parameter, at: start })
            }
        });
        slabs.collect()
    }

    /// All pieces with their parameter, in the order of parameters.
    #[cfg(feature = "burn")]
    pub(super) fn all_pieces(&self) -> impl Iterator<Item = (usize, &Piece)> {
        (0..self.num_parameters()).flat_map(|parameter| {
            self.pieces(parameter).iter().map(move |piece| (parameter, piece))
        })
    }

    /// The places of the pieces of a parameter among all pieces.
    pub(super) fn piece_places(&self, parameter: usize) -> Range<usize> {
        self.parameters[parameter].pieces.clone()
    }
}

/// Returns an error for units that cannot be divided among `members`.
fn check(members: usize, units: &[Vec<ParameterSize>]) -> Result<(), FsdpError> {
    if let Some(unit) = units.iter().position(Vec::is_empty) {
        return Err(FsdpError::EmptyUnit { unit });
    }
    let sizes = units.iter().flatten();
    if let Some((parameter, ParameterSize { elements, alignment })) =
        sizes.clone().enumerate().find(|(_, size)| size.elements == 0 || size.alignment == 0)
    {
        return Err(FsdpError::Empty { parameter, elements: *elements, alignment: *alignment });
    }
    // Each run between two cuts can have another owner, so this is the largest group without idle
    // members.
    let possible = sizes.map(|size| size.elements.div_ceil(size.alignment)).sum();
    if members == 0 || members > possible {
        Err(FsdpError::Members { members, possible })
    } else {
        Ok(())
    }
}
