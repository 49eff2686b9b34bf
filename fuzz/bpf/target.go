package bpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// coverMap is the name of the map that the instrumentation adds.
const coverMap = "bpffuzz_cover"

// Options says how to make a target of an object. The zero value takes the
// object's only program as it is.
type Options struct {
	// Program is the name of the program to fuzz; "" means the only one there is.
	Program string
	// Type is what the program is loaded as, by bpftool's names; "" leaves that to its
	// section.
	Type string
	// Setup is done before the programs are loaded.
	Setup
	// MaxSteps bounds the steps of an input; 0 means 4 for a program that adds entries to
	// maps or removes them, 1 for any other.
	MaxSteps int
	// Executor is how packets are run: "batch" for many in one call, "single" for one,
	// "auto" or "" for what suits the program.
	Executor string
	// State is what happens to map state: "reset" or "" puts it back before each batch,
	// or before each input where packets run one by one; "keep" leaves it as runs leave
	// it. What runs alone, to be judged or confirmed, starts from the initial state in
	// any case.
	State string
	// Feedback names maps whose counters guide the fuzzer besides the edges: a counter
	// that a run changes by another power of two than before is new.
	Feedback []string
	// Live is not nil where the kernel is to do with packets what the program, one of
	// XDP, says.
	Live *Live
	// CheckVerifier has each run check what the verifier claims of numbers in registers.
	CheckVerifier bool
	// falsify may change claims before they are checked.
	falsify func([]instrument.Claim)
}

// Target is a program of an object with its tail-call targets, ready to be loaded
// by any number of workers. It is immutable and safe for concurrent use.
type Target struct {
	row     programType
	machine machine
	shape   *corpus.Shape
	table   *cover.Table
	spec    *ebpf.CollectionSpec // reachable programs and their maps, set up
	program string
	names   []string // of the programs that the plan instruments, in its order
	plan    *instrument.Plan
	step    instrument.Step // of the ladder, that the kernel accepts
	compare instrument.Step // the same for the variant that logs comparisons
	left    map[int]bool    // probes that the verifier left, nil where that is not known
	leftErr error
	kinds   map[string]ebpf.MapType // of maps that stand in for another kind
	virtual bool                    // time and chance come from inputs
	faults  bool                    // inputs say which call of a helper fails
	notes   []string
	linear  int    // size of the largest packet without fragments
	mode    string // Options.Executor
	slots   int    // of a batch; 0 for what suits the packets
	keep    bool   // map state stays between batches
	reused  reusedMaps
	feed    []feedbackMap // what guides besides the edges
	loaded  *Loaded       // not nil where the program was in the kernel before
	live    *liveMode     // nil where nothing is done with packets
	claims  ClaimCheck    // of the verifier
	// siblings are tried when a finding is exported.
	siblings *siblings
}

// NewTarget chooses the program, sets the object up, finds out by trial which
// instrumentation this kernel accepts, and describes the program's inputs. A
// program that the kernel rejects as it is gives a *RejectedError.
func NewTarget(obj *Object, opts Options) (*Target, error) {
	obj, name, err := obj.chooseTyped(opts.Program, opts.Type)
	if err != nil {
		return nil, err
	}
	if err := checkCallback(obj.Name, obj.spec.Programs[name]); err != nil {
		return nil, err
	}
	spec := obj.spec.Copy()
	t := &Target{spec: spec, program: name, notes: slices.Clone(obj.Notes), kinds: mapArrays(spec), mode: opts.Executor, siblings: &siblings{}}
	if err := t.setUp(&opts); err != nil {
		return nil, err
	}
	if err := t.checkState(&opts); err != nil {
		return nil, err
	}
	programs := reachable(spec, spec.Programs[name])
	if err := t.describe(programs, opts.MaxSteps); err != nil {
		return nil, err
	}
	if opts.Live != nil {
		if err := t.setUpLive(*opts.Live); err != nil {
			return nil, err
		}
	}
	t.reduce(programs)
	if err := t.reuse(opts.Reuse); err != nil {
		return nil, err
	}
	if err := t.fuzzMaps(opts.FuzzMaps); err != nil {
		return nil, err
	}
	t.virtualize(programs, opts.RealHelpers)
	t.faults = opts.Faults
	if err := t.analyze(programs); err != nil {
		return nil, err
	}
	if err := t.climbFaults(programs); err != nil {
		return nil, err
	}
	if opts.CheckVerifier {
		if err := t.checkable(&opts); err != nil {
			return nil, err
		}
		if err := t.inLab(func() error { return t.checkClaims(opts.falsify) }); err != nil {
			return nil, err
		}
	}
	t.explainChance(programs)
	if err := t.inLab(t.climbCompare); err != nil {
		return nil, err
	}
	if err := t.inLab(t.findPoison); err != nil {
		return nil, err
	}
	if err := t.findListeners(); err != nil {
		return nil, err
	}
	t.lift()
	t.shape.Counted = t.counted()
	if opts.MaxSteps <= 0 && t.remembers() {
		t.shape.MaxSteps = statefulSteps
	}
	return t, t.addFeedback(opts.Feedback)
}

func (t *Target) setUp(opts *Options) (err error) {
	if t.row, err = rowOf(t.spec.Programs[t.program]); err != nil {
		return err
	}
	if t.machine.cpus, err = ebpf.PossibleCPU(); err != nil {
		return fmt.Errorf("counting the processors: %w", err)
	}
	if err := opts.apply(t.spec, t.machine.cpus); err != nil {
		return err
	}
	return t.checkSockets()
}

// describe makes the shape.
func (t *Target) describe(programs []*ebpf.ProgramSpec, maxSteps int) error {
	prog := t.spec.Programs[t.program]
	limits, err := t.row.limits(prog)
	if err != nil {
		return err
	}
	if t.row.note != "" {
		t.notes = append(t.notes, fmt.Sprintf("program %q: %s", t.program, t.row.note))
	}
	if t.row.network {
		t.machine.addNetwork()
	}
	if t.row.sockets {
		t.notes = append(t.notes, t.socketNotes(programs)...)
	}
	t.shape = t.row.shape(t.spec, prog, limits, &t.machine)
	if t.shape.MaxSteps, t.linear = maxSteps, limits.Max; maxSteps <= 0 {
		t.shape.MaxSteps = defaultSteps(programs)
	}
	t.shape.Lasting = lastingMaps(t.spec, mapsOf(t.spec, programs))
	for _, what := range t.shape.Lasts() {
		t.notes = append(t.notes, what+" cannot be put back after a run: programs and maps are made anew before a failure is confirmed")
	}
	for i := range t.shape.Maps {
		if kind, ok := t.kinds[t.shape.Maps[i].Name]; ok {
			t.shape.Maps[i].Kind = kindOf(kind).name
		}
	}
	return nil
}

// reduce drops the programs and maps that the target does not use, and what keeps
// the others from being run.
func (t *Target) reduce(programs []*ebpf.ProgramSpec) {
	keep := map[string]bool{}
	for _, name := range mapsOf(t.spec, programs) {
		keep[name] = true
		for _, kv := range t.spec.Maps[name].Contents {
			if inner, ok := kv.Value.(string); ok {
				keep[inner] = true
			}
		}
	}
	maps.DeleteFunc(t.spec.Maps, func(name string, _ *ebpf.MapSpec) bool { return !keep[name] })
	maps.DeleteFunc(t.spec.Programs, func(_ string, p *ebpf.ProgramSpec) bool { return !slices.Contains(programs, p) })
	t.spec.Variables = nil
	entry := t.spec.Programs[t.program]
	for _, p := range programs {
		if p.Type == ebpf.UnspecifiedProgram {
			p.Type, p.AttachType, p.Flags = entry.Type, entry.AttachType, entry.Flags // it is only ever tail-called
		}
		if p.AttachType == ebpf.AttachXDPDevMap || p.AttachType == ebpf.AttachXDPCPUMap {
			p.AttachType = ebpf.AttachNone
		}
		p.Ifindex = 0
		p.Flags &^= unix.BPF_F_XDP_DEV_BOUND_ONLY
	}
}

// analyze makes the plan: the entry program first, then those that it tail-calls.
func (t *Target) analyze(programs []*ebpf.ProgramSpec) (err error) {
	opts := instrument.Options{
		Maps: map[string]instrument.MapInfo{}, Range: t.variableAt, Packet: packetFields(t.spec.Programs[t.program].Type),
	}
	for name, m := range t.spec.Maps {
		opts.Maps[name] = instrument.MapInfo{
			KeySize:  int(m.KeySize),
			ReadOnly: isConstant(name) || m.Flags&unix.BPF_F_RDONLY_PROG != 0,
			Full:     fullErrno(m.Type),
		}
	}
	if t.virtual {
		opts.Chance = instrument.Chance{Map: chanceMap}
		if t.shape.CPUs == 0 { // else a step says on which it runs
			opts.Chance.CPUs = t.machine.cpus
		}
	}
	if t.faults {
		opts.Faults = faultMap
	}
	t.names = nil
	var list []instrument.Program
	for _, p := range programs {
		for name, other := range t.spec.Programs {
			if other == p {
				t.names = append(t.names, name)
				list = append(list, instrument.Program{Name: name, Instructions: p.Instructions})
			}
		}
	}
	t.plan, err = instrument.Analyze(list, opts)
	return err
}

// variableAt returns the bytes of the global variable at an offset of a section,
// or an empty range where the object does not say.
func (t *Target) variableAt(mapName string, off uint32) (lo, hi uint32) {
	m := t.spec.Maps[mapName]
	if m == nil {
		return 0, 0
	}
	section, ok := m.Value.(*btf.Datasec)
	if !ok {
		return 0, 0
	}
	for _, v := range section.Vars {
		if off >= v.Offset && off-v.Offset < v.Size && uint64(v.Offset)+uint64(v.Size) <= uint64(m.ValueSize) {
			return v.Offset, v.Offset + v.Size
		}
	}
	return 0, 0
}

// climb finds the fullest instrumentation that the kernel accepts.
func (t *Target) climb() error {
	for n, step := range instrument.Ladder() {
		t.step = step
		inst, err := t.loadOnly(instrument.Cover)
		if err == nil {
			t.table = t.plan.Table(step.Rung)
			t.explainRung()
			t.left, t.leftErr = t.probesLeft(inst)
			return inst.Close()
		}
		var rejected *RejectedError
		if !errors.As(err, &rejected) {
			return err
		}
		if n == 0 {
			if err := t.loadPlain(); err != nil {
				return err // instrumentation is not to blame
			}
		}
	}
	return fmt.Errorf("program %q loads, but not with a coverage map beside it: %w", t.program, errNoRung)
}

// loadPlain loads the programs as they are and returns the kernel's objections in
// full.
func (t *Target) loadPlain() error {
	spec := t.spec.Copy()
	dropSockets(spec)
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: t.reused})
	if err != nil {
		return t.explain(err)
	}
	coll.Close()
	return nil
}

// explainRung notes what is missing from the fullest instrumentation.
func (t *Target) explainRung() {
	switch t.step.Rung {
	case instrument.Full:
	case instrument.None:
		t.notes = append(t.notes, "the kernel accepts no instrumentation of this program: there is no coverage to guide the fuzzer")
	default:
		t.notes = append(t.notes, fmt.Sprintf("the program is close to the verifier's limits and is instrumented in part: %s", t.step))
	}
}

// Shape implements fuzz.Target.
func (t *Target) Shape() *corpus.Shape { return t.shape }

// Table implements fuzz.Target.
func (t *Target) Table() *cover.Table { return t.table }

// Rung says how much of the program is instrumented, "full" at best.
func (t *Target) Rung() string {
	if t.loaded != nil {
		return "not at all"
	}
	return t.step.String()
}

// Notes are what a user should know of how the target was set up, a line each.
func (t *Target) Notes() []string { return t.notes }
