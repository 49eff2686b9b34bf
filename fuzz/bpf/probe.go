package bpf

import (
	"errors"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// ErrUnknown is in an error of a Report where the kernel's answer is neither yes nor
// no, mostly since the caller lacks a privilege. The error says which.
var ErrUnknown = errors.New("could not tell")

// Report is what the running kernel does, measured by doing it. In all of its parts
// an error is an answer: nil is yes, one that is ErrUnknown is "could not tell", and
// any other is no; the text is the reason.
type Report struct {
	// Kernel and Machine are names to show, as uname prints them. No answer depends
	// on them.
	Kernel, Machine string
	// CPUs is the number of processors that this process may use.
	CPUs int
	// Types has all program types, those that BPF_PROG_RUN runs first.
	Types        []TypeReport
	Features     []FeatureReport
	Capabilities []CapabilityReport
	// LiveMax is the largest packet of live frames in bytes, LiveBatch the largest
	// batch_size; 0 where there are no live frames, or none could be tried.
	LiveMax, LiveBatch int
}

// TypeReport is what BPF_PROG_RUN does with programs of one type. All but the name
// and the first two answers is zero for a type that does not run.
type TypeReport struct {
	// Type is the name as bpftool prints it; tracing programs have a row for each
	// kind, named as its ELF section.
	Type string
	// Load says whether a program of two instructions loads, Err whether
	// BPF_PROG_RUN runs it.
	Load, Err error
	// Min and Max are the sizes of the smallest and largest packet in bytes, 0 and 0
	// for a type that takes none. MinIPv4 and MinIPv6 are the smallest packets with
	// these ethertypes, 0 where they make no difference.
	Min, Max, MinIPv4, MinIPv6 int
	// Frags is the largest packet of an XDP program that declares xdp.frags, Meta the
	// largest metadata in front of a packet, in bytes; 0 for other types.
	Frags, Meta int
	// ContextMin and ContextMax bound the size of the context in bytes, for types
	// without packets.
	ContextMin, ContextMax int
	// Context has the names of the context fields that may be other than zero, in the
	// order of the structure. There are none where the program decides what a context
	// is, as with raw tracepoints. Whether rx_queue_index is one is seen only where
	// there can be a private network namespace, with an interface that has queues.
	Context []string
	// Flags has an answer for each of repeat, run_on_cpu, checksum_complete and
	// live_frames. Those that the kernel silently ignores for the type are left out.
	Flags []FlagReport
}

// FlagReport is the answer for one thing that BPF_PROG_RUN may be asked for.
type FlagReport struct {
	Name string
	Err  error
}

// FeatureReport is the answer for something that does not belong to one type.
type FeatureReport struct {
	// Name stays the same between releases: lower-case words with hyphens.
	Name string
	Err  error
	// For says what it is used for, Without what its absence costs.
	For, Without string
}

// CapabilityReport is a privilege, whether the caller has it, and what it is for.
type CapabilityReport struct {
	Name string
	Have bool
	For  string
}

// Probe measures what this kernel runs and accepts with the privileges of the
// calling process. It takes less than a second and leaves nothing behind: all is
// done in a private network namespace, and what needs one is not tried where there
// cannot be one. It never fails: what is not permitted makes answers unknown. It may
// be called from any goroutine.
func Probe() *Report {
	found := kernel.Probe()
	r := &Report{
		Kernel: "unknown", Machine: runtime.GOARCH, CPUs: runtime.NumCPU(),
		LiveMax: found.LiveMax, LiveBatch: found.LiveBatch,
		Capabilities: Capabilities(),
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		r.Kernel, r.Machine = unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:])
	}
	for i := range found.Types {
		r.Types = append(r.Types, newTypeReport(&found.Types[i]))
	}
	uses := featureUses()
	for _, f := range found.Features {
		use := uses[f.Name]
		r.Features = append(r.Features, FeatureReport{Name: f.Name, Err: reported(f.Err), For: use.purpose, Without: use.without})
	}
	return r
}

// reported turns the kernel package's marking round: there a no is marked.
func reported(err error) error {
	if err == nil || errors.Is(err, kernel.ErrNo) {
		return err
	}
	return &unknownError{err}
}

// unknownError is an ErrUnknown whose text is the reason alone.
type unknownError struct{ reason error }

func (e *unknownError) Error() string        { return e.reason.Error() }
func (e *unknownError) Unwrap() error        { return e.reason }
func (e *unknownError) Is(target error) bool { return target == ErrUnknown }

func newTypeReport(p *kernel.TypeProbe) TypeReport {
	t := TypeReport{
		Type: p.Name, Load: reported(p.Load), Err: reported(p.Run),
		Min: p.Packet.Min, Max: p.Packet.Max, MinIPv4: p.MinIPv4, MinIPv6: p.MinIPv6,
		Frags: p.Frags, Meta: p.Meta,
		ContextMin: p.Context.Min, ContextMax: p.Context.Max, Context: p.Fields,
	}
	for _, f := range p.Flags {
		t.Flags = append(t.Flags, FlagReport{f.Name, reported(f.Err)})
	}
	return t
}

// Capabilities lists the privileges that fuzzing needs, and which of them the calling
// thread has.
func Capabilities() []CapabilityReport {
	missing := map[string]bool{}
	for _, c := range kernel.Missing() {
		missing[c.Name] = true
	}
	var all []CapabilityReport
	for _, c := range kernel.Capabilities() {
		all = append(all, CapabilityReport{Name: c.Name, Have: !missing[c.Name], For: c.For})
	}
	return all
}

// featureUse is what a feature is for.
type featureUse struct{ purpose, without string }

func featureUses() map[string]featureUse {
	return map[string]featureUse{
		"network-namespace":        {"keeping programs away from the machine's network", "programs cannot be fuzzed: there is no safe place to run them"},
		"load-test-rnd-hi32":       {"showing code that relies on upper halves of registers", "such code goes unnoticed"},
		"load-test-state-freq":     {"testing what the verifier remembers more often", "some errors of the verifier go unnoticed"},
		"load-test-reg-invariants": {"refusing programs whose register bounds contradict each other", "errors in the verifier's bounds go unnoticed"},
		"load-xdp-has-frags":       {"XDP packets in fragments", "XDP programs get packets of one page at most"},
		"mmapable-array":           {"reading coverage and map contents without system calls", "nothing can be fuzzed: coverage is read that way"},
		"ring-buffer":              {"programs that send events", "such programs do not load"},
		"batch-xdp":                {"running many packets in one call, for XDP", "XDP runs one call for each packet, ten times slower"},
		"batch-tc":                 {"running many packets in one call, for tc", "tc runs one call for each packet, ten times slower"},
		"live-frames":              {"sending what an XDP program does with a packet", "redirects and transmissions of XDP are judged by return value only"},
		"program-streams":          {"reading what the kernel says about a program that misbehaves", "timeouts of loops and faults of arenas go unnoticed"},
		"jit":                      {"running programs as machine code", "programs are interpreted, several times slower"},
		"btf":                      {"CO-RE, tracing programs and kernel functions", "objects that need the kernel's types do not load"},
	}
}
