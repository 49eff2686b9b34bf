// Package instrument inserts probes into the bytecode of a program: a spec goes
// in, an instrumented spec and a table of edges come out. It is pure and follows
// from the object alone, so that edges are the same on every machine; only which
// rung of the ladder a kernel accepts depends on the kernel.
package instrument

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// Program is a program as cilium/ebpf holds it after an ELF load: its entry
// function first, then every function that it refers to.
type Program struct {
	Name         string
	Instructions asm.Instructions
}

// MapInfo is what the plan needs to know of a map.
type MapInfo struct {
	// KeySize in bytes; 0 for maps without keys.
	KeySize int
	// ReadOnly is set for maps that programs cannot write: frozen constants.
	ReadOnly bool
	// Full is what an update answers when there is no room; 0 for maps that have all
	// their entries from the start, in which nothing fails.
	Full unix.Errno
}

// Options of Analyze. The zero value works: then uses of maps mark whole maps.
type Options struct {
	// Maps by the name by which instructions refer to them. One that is missing is
	// taken for a map without known keys that can be written.
	Maps map[string]MapInfo
	// Range returns the bytes [lo, hi) of the variable at an offset of a map of global
	// data; lo == hi means the whole map, and so does a nil function.
	Range func(mapName string, off uint32) (lo, hi uint32)
	// Packet says where the programs' context has their packet; nil means nowhere.
	Packet *PacketFields
	// Chance says how helpers for time and chance are answered.
	Chance Chance
	// Faults is the name of the map that says which fallible call fails, which the caller
	// adds to the collection; "" leaves calls as they are.
	Faults string
	// Unpruned gives every edge a probe of its own.
	Unpruned bool
}

// Plan knows the edges of an entry program and its tail-call targets, which share
// one coverage map, and how to instrument them. It is immutable and safe for
// concurrent use.
type Plan struct {
	programs []program
	funcs    []*function
	edges    []edge
	// comparisons are in the order of the code.
	comparisons []comparison
	// nulls are the branches on whether a helper gave something.
	nulls    []cover.Comparison
	unpruned bool
	chance   Chance
	faults   string // the map's name
	sites    []corpus.FaultSite
	// claims are checked, one in claimSample of them.
	claims      []Claim
	claimSample int
}

// program is a program with the functions of which it is made.
type program struct {
	Program
	funcs []*cfg.Func
	same  []*function // the function that each of funcs is a copy of
}

// function is code that one or more programs contain.
type function struct {
	*cfg.Func
	// label is its name, with a number for further functions of the same name.
	label string
	main  bool // some program begins with it
	sub   bool // some program calls it
	entry cfg.Entry
	usage *cfg.Usage
	edges []int // indices in the plan, in order
	uses  []use
	// lookups are calls whose keys the compare variant logs.
	lookups []lookup
	// comparisons are indices in the plan, in order.
	comparisons []int
	// faults are the calls that can be made to fail.
	faults []fault
	// wayward is set when a call of the function may not come back.
	wayward bool
	// depth is how much stack it uses, and slots how many registers can be saved below.
	depth   int
	depthOK bool
	slots   int
	pin     asm.Register // r0 when there is none
}

// Analyze takes the entry program and its tail-call targets. It fails on code that
// no kernel would accept.
func Analyze(programs []Program, opts Options) (*Plan, error) {
	p := &Plan{unpruned: opts.Unpruned, chance: opts.Chance, faults: opts.Faults}
	known := map[[sha256.Size]byte]*function{}
	names := map[string]int{}
	for _, prog := range programs {
		funcs, err := cfg.Split(prog.Instructions)
		if err != nil {
			return nil, fmt.Errorf("taking program %q apart: %w", prog.Name, err)
		}
		entry := program{Program: prog, funcs: funcs}
		for i, f := range funcs {
			key := fingerprint(f)
			fn := known[key]
			if fn == nil {
				fn = &function{Func: f, label: f.Name}
				if names[f.Name]++; names[f.Name] > 1 {
					fn.label = fmt.Sprintf("%s#%d", f.Name, names[f.Name])
				}
				known[key] = fn
				p.funcs = append(p.funcs, fn)
			}
			fn.main, fn.sub = fn.main || i == 0, fn.sub || i > 0
			entry.same = append(entry.same, fn)
		}
		p.programs = append(p.programs, entry)
	}
	for _, fn := range p.funcs {
		p.analyze(fn, &opts)
	}
	p.findWayward()
	p.findSpillRoom()
	for _, fn := range p.funcs {
		p.findFaults(fn, &opts)
	}
	p.prune()
	fields := NoPacket
	if opts.Packet != nil {
		fields = *opts.Packet
	}
	p.findComparisons(fields)
	return p, nil
}

// analyze fills in what follows from the function alone.
func (p *Plan) analyze(fn *function, opts *Options) {
	fn.entry = cfg.MainEntry
	if fn.sub {
		fn.entry = cfg.CallEntry
	}
	fn.usage = fn.Usage(fn.entry)
	flow := fn.Flow(nil)
	fn.depth, fn.depthOK = fn.StackDepth(flow)
	fn.uses = findUses(fn.Func, flow, !fn.sub, opts)
	fn.lookups = findLookups(fn.Func, flow, opts)
	mentioned := fn.Mentioned()
	for r := asm.R9; r >= asm.R6; r-- {
		if !mentioned.Has(r) {
			fn.pin = r
			break
		}
	}
	p.addEdges(fn)
}

// fingerprint tells functions apart: by name, code and what they refer to.
func fingerprint(f *cfg.Func) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%q", f.Name)
	for i := range f.Insns {
		ins := &f.Insns[i]
		var b [24]byte
		binary.LittleEndian.PutUint64(b[:], uint64(ins.OpCode))
		b[8], b[9] = byte(ins.Dst), byte(ins.Src)
		binary.LittleEndian.PutUint16(b[10:], uint16(ins.Offset))
		binary.LittleEndian.PutUint64(b[16:], uint64(ins.Constant))
		h.Write(b[:])
		fmt.Fprintf(h, "%q", ins.Reference())
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Table lists the edges at a rung. Indices and IDs are the same at all rungs.
func (p *Plan) Table(rung Rung) *cover.Table {
	a := p.assign(rung, Cover)
	t := &cover.Table{Edges: make([]cover.Edge, len(p.edges)), Loops: a.loops, Probes: a.layout.Probes}
	for i := range p.edges {
		t.Edges[i] = p.edges[i].Edge
		t.Edges[i].Probe, t.Edges[i].Via, t.Edges[i].Skipped = a.probe[i], a.via[i], a.skipped[i]
	}
	if rung == None {
		return t
	}
	for i := range p.comparisons {
		t.Comparisons = append(t.Comparisons, p.comparisons[i].Comparison)
	}
	t.Entries = slices.Clone(p.nulls)
	return t
}

// Layout describes the value of the coverage map.
func (p *Plan) Layout(rung Rung, variant Variant) Layout { return p.assign(rung, variant).layout }

// Rewrite returns the instrumented instructions of each program, in the order in
// which Analyze got them. They refer to the coverage map as mapName, which the
// caller adds to the collection. The originals stay as they are.
func (p *Plan) Rewrite(rung Rung, variant Variant, mapName string) ([]asm.Instructions, error) {
	a := p.assign(rung, variant)
	inserted := make(map[*function][]insertion, len(p.funcs))
	for _, fn := range p.funcs {
		if variant == Poison {
			inserted[fn] = p.poisonInsertions(fn, a, mapName) // first of all
		}
		inserted[fn] = append(inserted[fn], p.insertions(fn, a, mapName)...)
	}
	out := make([]asm.Instructions, len(p.programs))
	for i := range p.programs {
		prog := &p.programs[i]
		code, err := prog.assemble(func(j int) []insertion { return inserted[prog.same[j]] })
		if err != nil {
			return nil, err
		}
		out[i] = code
	}
	return out, nil
}

// assemble returns the program with the insertions for each of its functions made.
func (prog *program) assemble(insertions func(j int) []insertion) (asm.Instructions, error) {
	var out asm.Instructions
	for j, f := range prog.funcs {
		code, err := insert(f, f.Insns, insertions(j))
		if err != nil {
			return nil, fmt.Errorf("instrumenting program %q: %w", prog.Name, err)
		}
		out = append(out, code...)
	}
	return out, nil
}

// emitter returns what writes probes for a function.
func (fn *function) emitter(a *assignment, mapName string) *emitter {
	e := &emitter{mapName: mapName, spill: -align(fn.depth), slots: fn.slots}
	if a.pins(fn) {
		e.pin, e.base = fn.pin, a.base(fn)
	}
	return e
}

// insertions returns everything that goes into one function.
func (p *Plan) insertions(fn *function, a *assignment, mapName string) []insertion {
	var list []insertion
	e := fn.emitter(a, mapName)
	if e.pin != asm.R0 {
		list = append(list, insertion{place: onEntry, code: asm.Instructions{address(e.pin, mapName, e.base)}})
	}
	for _, i := range fn.edges {
		if accesses := a.accesses(i); len(accesses) > 0 {
			edge := &p.edges[i]
			list = append(list, insertion{place: edge.place, insn: edge.insn, code: e.probe(edge.room, accesses)})
		}
	}
	for _, n := range fn.comparisons {
		if cell := a.cellOf(n); cell != nil {
			c := &p.comparisons[n]
			list = append(list, insertion{place: before, insn: c.insn, code: e.probe(c.room, []access{c.access(cell)})})
		}
	}
	list = append(list, a.lookupInsertions(fn, mapName)...)
	list = append(list, a.checkInsertions(p, fn, e)...)
	list = append(list, p.chance.virtual(fn.Func)...)
	list = append(list, p.faultInsertions(fn, e)...)
	for i := range fn.uses {
		if site := a.siteOf(fn, i); site != nil && site.Off >= 0 {
			u := &fn.uses[i]
			list = append(list, insertion{place: before, insn: u.insn, code: u.code(mapName, site)})
		}
	}
	return list
}
