//! Who owns which elements of which parameter.

use std::ops::Range;

use super::balance::cut;
use super::error::FsdpError;
use crate::sparseloco::chunks::ChunkGrid;

/// How large a parameter is, and where it may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSize {
    /// Its elements.
    pub elements: usize,
    /// Elements of a run that stays whole; the last run may be shorter. [`slab_alignment`](super::slab::slab_alignment) knows it.
    pub alignment: usize,
}

/// A run of a parameter's elements that one member owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The owner.
    pub member: usize,
    /// Its elements of the parameter, row by row.
    pub range: Range<usize>,
}

/// The division of a network among members, known before a byte of it exists.
///
/// Parameters are known by their place in canonical order, and so are the units they are grouped in. A unit is taken as
/// one vector of its parameters, and each member owns one contiguous range of it.
///
/// - Every element has one owner; ranges follow each other in the order of members, and some may be empty.
/// - Ranges end where a grain of a parameter ends.
/// - Over all units every member owns an even share, to about one grain of the largest kind.
/// - It depends on its arguments alone.
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
    /// The division of `units`, lists of parameters, among `members`.
    ///
    /// # Errors
    ///
    /// No members or more than there are grains in the network, units without parameters, parameters without elements.
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

    fn add_unit(&mut self, sizes: &[ParameterSize]) {
        let mut start = 0;
        let next = |end| std::mem::replace(&mut start, end)..end;
        let shares: Vec<Range<usize>> = cut(sizes, &self.owned).into_iter().map(next).collect();
        self.owned.iter_mut().zip(&shares).for_each(|(owned, share)| *owned += share.len());
        let (first, mut place) = (self.parameters.len(), 0);
        for size in sizes {
            self.add_parameter(place, size.elements, &shares);
            place += size.elements;
        }
        self.units.push(UnitPlan { parameters: first..self.parameters.len(), shares });
    }

    /// Adds a parameter that begins at `place` of the unit that is next.
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

    /// Members that the network is divided among.
    pub fn members(&self) -> usize {
        self.owned.len()
    }

    /// Units of the network.
    pub fn num_units(&self) -> usize {
        self.units.len()
    }

    /// Parameters of the network.
    pub fn num_parameters(&self) -> usize {
        self.parameters.len()
    }

    /// Elements of a parameter.
    pub fn elements(&self, parameter: usize) -> usize {
        self.parameters[parameter].elements
    }

    /// The unit that a parameter belongs to.
    pub fn unit_of(&self, parameter: usize) -> usize {
        self.parameters[parameter].unit
    }

    /// The parameters of a unit.
    pub fn parameters(&self, unit: usize) -> Range<usize> {
        self.units[unit].parameters.clone()
    }

    /// A parameter's pieces: ascending, none empty, and together the whole of it.
    pub fn pieces(&self, parameter: usize) -> &[Piece] {
        &self.pieces[self.piece_places(parameter)]
    }

    /// The elements of a unit, taken as one vector, that a member owns.
    pub fn share(&self, unit: usize, member: usize) -> Range<usize> {
        self.units[unit].shares[member].clone()
    }

    /// Elements that a member owns over all units.
    pub fn owned(&self, member: usize) -> usize {
        self.owned[member]
    }

    /// Elements of a unit.
    pub fn unit_elements(&self, unit: usize) -> usize {
        self.units[unit].shares.last().map_or(0, |last| last.end)
    }

    /// Elements that each member brings into a collective of a unit: as many as the one with the most of them owns.
    pub fn padded(&self, unit: usize) -> usize {
        self.units[unit].shares.iter().map(Range::len).max().unwrap_or(0)
    }

    /// The unit with the most elements, the first of several.
    pub fn largest_unit(&self) -> usize {
        let units = (0..self.num_units()).rev();
        units.max_by_key(|unit| self.unit_elements(*unit)).unwrap_or(0)
    }

    /// The slabs of a parameter that each piece consists of, by its chunks in a run's compression: member and slabs.
    ///
    /// # Errors
    ///
    /// [`FsdpError::ChunkCut`] if a piece ends inside a slab; those of [`slab_alignment`](super::slab::slab_alignment) never do.
    pub fn slabs(
        &self,
        parameter: usize,
        grid: &ChunkGrid,
    ) -> Result<Vec<(usize, Range<usize>)>, FsdpError> {
        let slab = grid.slab_len();
        let slabs = |piece: &Piece| match piece.range.start.is_multiple_of(slab) {
            true => Ok((piece.member, piece.range.start / slab..piece.range.end.div_ceil(slab))),
            false => Err(FsdpError::ChunkCut { parameter, at: piece.range.start }),
        };
        self.pieces(parameter).iter().map(slabs).collect()
    }

    /// All pieces: those of the first parameter, those of the second, and so on.
    #[cfg(feature = "burn")]
    pub(super) fn all_pieces(&self) -> impl Iterator<Item = (usize, &Piece)> {
        let pieces = |parameter| self.pieces(parameter).iter().map(move |piece| (parameter, piece));
        (0..self.num_parameters()).flat_map(pieces)
    }

    /// Places of a parameter's pieces among all.
    pub(super) fn piece_places(&self, parameter: usize) -> Range<usize> {
        self.parameters[parameter].pieces.clone()
    }
}

fn check(members: usize, units: &[Vec<ParameterSize>]) -> Result<(), FsdpError> {
    if let Some(unit) = units.iter().position(Vec::is_empty) {
        return Err(FsdpError::EmptyUnit { unit });
    }
    let sizes = || units.iter().flatten();
    if let Some((parameter, size)) =
        sizes().enumerate().find(|(_, size)| size.elements == 0 || size.alignment == 0)
    {
        return Err(FsdpError::Empty {
            parameter,
            elements: size.elements,
            alignment: size.alignment,
        });
    }
    let possible = sizes().map(|size| size.elements.div_ceil(size.alignment)).sum();
    if members == 0 || members > possible {
        Err(FsdpError::Members { members, possible })
    } else {
        Ok(())
    }
}
