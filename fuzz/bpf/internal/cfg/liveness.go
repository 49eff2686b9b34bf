package cfg

import "github.com/cilium/ebpf/asm"

// Usage says for each instruction what is known of registers just before it.
type Usage struct {
	// Live holds registers that some path reads before it writes them.
	Live []RegSet
	// Maybe holds registers that some path has given a value, Surely those that all
	// paths have.
	Maybe, Surely []RegSet
	// maybeOut and surelyOut are the same just behind each instruction.
	maybeOut, surelyOut []RegSet
}

// Entry says which registers have a value when a function is entered.
type Entry struct{ Maybe, Surely RegSet }

var (
	// MainEntry is how the kernel enters a program: with its context in r1.
	MainEntry = Entry{Maybe: Regs(asm.R1), Surely: Regs(asm.R1)}
	// CallEntry is how a function is called whose arguments are not known.
	CallEntry = Entry{Maybe: Args}
)

// Usage runs liveness backward and initialisation forward.
func (f *Func) Usage(entry Entry) *Usage {
	n := len(f.Insns)
	u := &Usage{
		Live:  make([]RegSet, n),
		Maybe: make([]RegSet, n), Surely: make([]RegSet, n),
		maybeOut: make([]RegSet, n), surelyOut: make([]RegSet, n),
	}
	effects := make([]Effect, n)
	for i := range f.Insns {
		effects[i] = EffectOf(&f.Insns[i])
	}
	for changed := true; changed; {
		changed = false
		for b := len(f.Blocks) - 1; b >= 0; b-- {
			changed = f.liveBlock(u, effects, b) || changed
		}
	}
	f.initialised(u, effects, entry)
	return u
}

func (f *Func) liveBlock(u *Usage, effects []Effect, b int) bool {
	block := &f.Blocks[b]
	var live RegSet
	for _, next := range [...]int{block.Fall, block.Taken} {
		if next >= 0 {
			live |= u.Live[f.Blocks[next].First]
		}
	}
	for i := block.End - 1; i >= block.First; i-- {
		e := &effects[i]
		live = live&^(e.Def|e.Kill) | e.Use
		if i == block.First && u.Live[i] == live {
			return false
		}
		u.Live[i] = live
	}
	return live != 0
}

// initialised computes Maybe and Surely in one worklist: both only need a block
// again when what enters it has changed.
func (f *Func) initialised(u *Usage, effects []Effect, entry Entry) {
	maybe, surely := make([]RegSet, len(f.Blocks)), make([]RegSet, len(f.Blocks))
	for b := range surely {
		surely[b] = General
	}
	maybe[0], surely[0] = entry.Maybe, entry.Surely
	queued := make([]bool, len(f.Blocks))
	seen := make([]bool, len(f.Blocks))
	for work := []int{0}; len(work) > 0; {
		b := work[0]
		work, queued[b], seen[b] = work[1:], false, true
		block := &f.Blocks[b]
		m, s := maybe[b], surely[b]
		for i := block.First; i < block.End; i++ {
			u.Maybe[i], u.Surely[i] = m, s
			m, s = m&^effects[i].Kill|effects[i].Def, s&^effects[i].Kill|effects[i].Def
			u.maybeOut[i], u.surelyOut[i] = m, s
		}
		for _, next := range [...]int{block.Fall, block.Taken} {
			if next < 0 {
				continue
			}
			newMaybe, newSurely := maybe[next]|m, surely[next]&s
			if seen[next] && newMaybe == maybe[next] && newSurely == surely[next] {
				continue
			}
			maybe[next], surely[next] = newMaybe, newSurely
			if !queued[next] {
				queued[next] = true
				work = append(work, next)
			}
		}
	}
}

// Room is what code inserted at one point may use.
type Room struct {
	// Free holds registers that may be overwritten.
	Free RegSet
	// Savable holds further registers that may be saved, used and restored: they
	// surely have a value.
	Savable RegSet
}

func room(live, maybe, surely RegSet) Room {
	free := General &^ (live & maybe)
	return Room{Free: free, Savable: General & surely &^ free}
}

// Before returns the room before instruction i on all ways to it.
func (u *Usage) Before(i int) Room { return room(u.Live[i], u.Maybe[i], u.Surely[i]) }

// On returns the room on an edge of the function.
func (u *Usage) On(e Edge, entry Entry) Room {
	if e.From < 0 {
		return room(u.Live[e.To], entry.Maybe, entry.Surely)
	}
	return room(u.Live[e.To], u.maybeOut[e.From], u.surelyOut[e.From])
}
