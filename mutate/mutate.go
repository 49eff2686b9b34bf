// Package mutate derives an input from one or two others: packets by byte, by
// layer and by field, contexts by field, sequences by step, initial map
// entries by field. Every choice comes from a seed and every child obeys the target's
// shape. Nothing allocates while mutating, except new map entries, a block at a time.
package mutate

import (
	"math/bits"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// Options configure a Mutator. The zero value is useful.
type Options struct {
	// Seed is the first seed; see Mutator.Seed.
	Seed uint64
	// Dictionary is used besides the shape's own.
	Dictionary [][]byte
	// Operators are the caller's, used besides the built-in ones.
	Operators []Operator
}

// Mutator makes children of inputs. It is not safe for concurrent use: each
// worker has its own.
type Mutator struct {
	rand  source
	shape *corpus.Shape
	first packet.Layer
	dict  dictionary
	ops   []operator
	// choice maps ten random bits to an index of ops, in proportion to the weights.
	choice       [1024]uint8
	fields       []corpus.Field // of the context
	freshContext []byte
	maps         []*corpus.MapShape // that inputs bring entries of
	entries      entryPool
	maxSteps     int
	fresh        []corpus.Step // to insert, where there may be several

	// What follows describes the child in the making.
	in    *corpus.Input
	other *corpus.Input // the second parent, may be nil
	at    int           // index of the step that the operator is applied to
	// touched has a bit per step (modulo 64) whose packet may need fixing.
	touched uint64
	// layout is that of the packet of step parsed, which is nil when it is stale. It
	// points to source, the layout of the parent's first packet, or to own.
	parsed      *corpus.Step
	layout      *packet.Layout
	source, own packet.Layout
	// sourceOf is the parent that source belongs to, and how long its packet was.
	sourceOf  *corpus.Input
	sourceLen int
	partner   packet.Layout // of a second packet, while two are compared
	// fragile has a bit for each of the first 128 bytes of the parent's first packet
	// on which source depends.
	fragile [2]uint64
	// plan is for packets that source is the layout of, once planned is yes.
	plan    packet.Plan
	planned answer
	keep    repairs // what operators broke on purpose
	caller  Rand    // for operators of the caller's
	scratch [256]byte
}

// New makes a mutator for a target's inputs. The shape must not change later.
func New(shape *corpus.Shape, opts Options) *Mutator {
	m := &Mutator{shape: shape, first: firstLayer(shape), maxSteps: max(shape.MaxSteps, 1)}
	m.dict.add(shape.Dictionary)
	m.dict.add(opts.Dictionary)
	m.fields = legalFields(shape)
	m.freshContext = freshContext(shape)
	m.maps = fuzzedMaps(shape)
	if m.maxSteps > 1 {
		m.fresh = makeFresh(shape)
	}
	m.ops = append(m.applicable(operators()), own(opts.Operators)...)
	m.fillChoice()
	m.Seed(opts.Seed)
	return m
}

// Seed restarts the mutator's random numbers. The same seed, followed by the same
// calls, gives the same children on every machine.
func (m *Mutator) Seed(seed uint64) { m.rand.seed(seed) }

// Mutate makes dst a child of src. other is a second parent to take pieces from,
// or nil. dst gets no more steps and bytes than its buffers have capacity for,
// and its buffers stay its own; dst must share no memory with the parents, which
// are not written. Parents may be of any size, but the values in their contexts have to be
// legal (see Conform), since only what is written here is checked here.
func (m *Mutator) Mutate(dst, src, other *corpus.Input) {
	// One number decides what can be decided now: branches that depend on it are
	// mispredicted anyway, but are found out while the copy is still under way.
	r := m.rand.next()
	dst.CopyFrom(src)
	m.begin(dst, other)
	m.recall(src)
	m.applyOne(r)
	for n := stackSizes[r&31]; n > 1; n-- {
		m.applyOne(m.rand.next())
	}
	m.finish(repairShares[r>>5&15])
}

// begin makes the steps of a child ready for operators.
func (m *Mutator) begin(dst, other *corpus.Input) {
	if len(dst.Steps) == 0 {
		dst.Grow()
	}
	dst.Steps = dst.Steps[:min(len(dst.Steps), m.maxSteps)]
	m.in, m.other, m.parsed = dst, other, nil
	m.touched, m.at = 0, 0
	m.keep = 0
}

// recall finds the layout of the parent's first packet, which is also the
// child's before it is changed. Parents are mostly used many times in a row, so
// it is kept. Were a parent changed in between, its layout would be wrong but
// inside the packet.
func (m *Mutator) recall(src *corpus.Input) {
	if len(m.in.Steps) == 0 || len(src.Steps) == 0 {
		return
	}
	n := len(src.Steps[0].Packet)
	if m.sourceOf != src || m.sourceLen != n {
		m.source.Parse(src.Steps[0].Packet, m.first)
		m.sourceOf, m.sourceLen = src, n
		m.fragile = m.source.Fragile()
		m.planned = unknown
	}
	if len(m.in.Steps[0].Packet) == n {
		m.parsed, m.layout = &m.in.Steps[0], &m.source
	}
}

// stackSizes is how many operators are applied on top of each other: powers of
// two as in AFL's havoc, but mostly one (1.2 on average): the checks of a
// packet program are passed one by one, a child with many changes breaks one that
// its parent passed, and what takes many changes is reached over generations.
var stackSizes = [32]uint8{
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 4,
}

// maxTries bounds the operators that are tried until one applies: most apply to
// most inputs, and one that flips a bit always does.
const maxTries = 6

// applyOne applies one operator, chosen by weight, to one step. It takes a random
// number of which it uses the upper half.
func (m *Mutator) applyOne(r uint64) {
	if len(m.ops) == 0 || len(m.in.Steps) == 0 {
		return
	}
	for range maxTries {
		if n := len(m.in.Steps); n > 1 {
			hi, _ := bits.Mul64(r<<10, uint64(n))
			m.at = int(hi)
		} else {
			m.at = 0
		}
		if m.ops[m.choice[r>>54]].apply(m, &m.in.Steps[m.at]) {
			m.touch(m.at)
			return
		}
		r = m.rand.next()
	}
}

// touch says that the packet of step i may need fixing.
func (m *Mutator) touch(i int) { m.touched |= 1 << (i & 63) }

// stale says that the structure of some packet may have changed.
func (m *Mutator) stale() { m.parsed = nil }

// changed says that n bytes at offset at of the step's packet were overwritten.
func (m *Mutator) changed(s *corpus.Step, at, n int) {
	if m.parsed != s {
		return
	}
	if m.layout == &m.source && at>>6 == (at+n-1)>>6 && at < 128 {
		if m.fragile[at>>6]>>(at&63)&(1<<n-1) != 0 {
			m.parsed = nil
		}
		return
	}
	if !m.layout.Survives(at, n) {
		m.parsed = nil
	}
}

// parse returns the layout of the step's packet, to be read only.
func (m *Mutator) parse(s *corpus.Step) *packet.Layout {
	if m.parsed != s {
		m.own.Parse(s.Packet, m.first)
		m.parsed, m.layout = s, &m.own
	}
	return m.layout
}

// firstLayer is what packets of the type start with.
func firstLayer(shape *corpus.Shape) packet.Layer {
	if shape.Payload {
		return packet.Payload
	}
	return packet.Ethernet
}
