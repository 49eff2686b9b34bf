package instrument_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

const coverMap = "bpffuzz_cover"

// needKernel skips a test where programs cannot be loaded.
func needKernel(t testing.TB) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatalf("reading capabilities: %v", err)
	}
	caps := uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	if caps>>unix.CAP_SYS_ADMIN&1 == 0 && (caps>>unix.CAP_BPF&1 == 0 || caps>>unix.CAP_PERFMON&1 == 0 || caps>>unix.CAP_NET_ADMIN&1 == 0) {
		t.Skip("needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN to load programs")
	}
}

// objects finds every object at hand: the examples, Debian's packages, and
// what cilium/ebpf tests itself with.
func objects(t testing.TB) []string {
	t.Helper()
	var all []string
	patterns := []string{
		"testdata/*.o", "../../../../examples/*.o", "../../../../examples/*/*.o",
		"/usr/lib/*-linux-gnu/bpf/*.o",
	}
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/cilium/ebpf").Output()
	if err != nil {
		t.Fatalf("finding cilium/ebpf: %v", err)
	}
	root := strings.TrimSpace(string(dir))
	for _, sub := range []string{"testdata", "btf/testdata", "cmd/bpf2go/testdata"} {
		patterns = append(patterns, filepath.Join(root, sub, "*-el.elf"))
	}
	patterns = append(patterns, filepath.Join(root, "examples/*/*_bpfel.o"))
	if extra := os.Getenv("BPFFUZZ_OBJECTS"); extra != "" {
		patterns = append(patterns, filepath.Join(extra, "*.o"))
	}
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// alone returns a spec of one program and the maps that it refers to, made fit to
// be loaded; nil when cilium/ebpf would leave the program out.
func alone(spec *ebpf.CollectionSpec, name string) *ebpf.CollectionSpec {
	all := spec.Copy()
	prog := all.Programs[name]
	if prog.Type == ebpf.UnspecifiedProgram {
		return nil
	}
	if prog.Type == ebpf.XDP {
		prog.AttachType = ebpf.AttachXDP
	}
	out := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{name: prog},
		Types: all.Types, ByteOrder: all.ByteOrder,
	}
	for i := range prog.Instructions {
		ins := &prog.Instructions[i]
		if m := all.Maps[ins.Reference()]; m != nil && ins.IsLoadFromMap() {
			out.Maps[ins.Reference()] = loadable(m)
			for _, kv := range m.Contents {
				if inner, ok := kv.Value.(string); ok && all.Maps[inner] != nil {
					out.Maps[inner] = loadable(all.Maps[inner])
				}
			}
		}
	}
	return out
}

func loadable(m *ebpf.MapSpec) *ebpf.MapSpec {
	m.Pinning, m.Extra = ebpf.PinNone, nil
	if m.Type == ebpf.ProgramArray {
		m.Contents = nil
	}
	switch m.Type {
	case ebpf.RingBuf:
		m.MaxEntries = 4096
	case ebpf.SkStorage, ebpf.TaskStorage, ebpf.InodeStorage, ebpf.CGroupStorage:
	default:
		if m.MaxEntries == 0 {
			m.MaxEntries = 1
		}
	}
	if m.InnerMap == nil && (m.Type == ebpf.ArrayOfMaps || m.Type == ebpf.HashOfMaps) {
		m.InnerMap = &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	}
	return m
}

// options describes the maps of a spec.
func options(spec *ebpf.CollectionSpec) instrument.Options {
	maps := map[string]instrument.MapInfo{}
	for name, m := range spec.Maps {
		info := instrument.MapInfo{ReadOnly: m.Flags&unix.BPF_F_RDONLY_PROG != 0}
		switch m.Type {
		case ebpf.Queue, ebpf.Stack, ebpf.RingBuf, ebpf.UserRingbuf, ebpf.Arena:
		default:
			info.KeySize = int(m.KeySize)
		}
		maps[name] = info
	}
	return instrument.Options{Maps: maps}
}

// instrumented returns a copy of spec, which has one program, instrumented as planned.
func instrumented(t testing.TB, spec *ebpf.CollectionSpec, plan *instrument.Plan, step instrument.Step, variant instrument.Variant) *ebpf.CollectionSpec {
	t.Helper()
	code, err := plan.Rewrite(step.Rung, variant, coverMap)
	if err != nil {
		t.Fatal(err)
	}
	out := spec.Copy()
	for _, prog := range out.Programs {
		prog.Instructions = code[0]
		prog.Flags |= step.Flags
	}
	out.Maps[coverMap] = &ebpf.MapSpec{
		Name: coverMap, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(plan.Layout(step.Rung, variant).Size), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	}
	return out
}

// climb loads the program by the first step that the kernel accepts, at rung from
// or below; nil when only the program as it is would be left.
func climb(t testing.TB, spec *ebpf.CollectionSpec, plan *instrument.Plan, from instrument.Rung, variant instrument.Variant) (*ebpf.Collection, instrument.Step) {
	t.Helper()
	for _, step := range instrument.Ladder() {
		if step.Rung < from || step.Rung == instrument.None {
			continue
		}
		c, err := load(instrumented(t, spec, plan, step, variant))
		if err == nil {
			return c, step
		}
		t.Logf("%s, %s: %s: %v", program(spec).Name, variant, step, err)
	}
	return nil, instrument.Step{Rung: instrument.None}
}

func program(spec *ebpf.CollectionSpec) instrument.Program {
	for name, prog := range spec.Programs {
		return instrument.Program{Name: name, Instructions: prog.Instructions}
	}
	return instrument.Program{}
}

func load(spec *ebpf.CollectionSpec) (*ebpf.Collection, error) {
	return ebpf.NewCollectionWithOptions(spec.Copy(), ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogDisabled: true}})
}

func verified(t testing.TB, c *ebpf.Collection, name string) uint32 {
	t.Helper()
	info, err := c.Programs[name].Info()
	if err != nil {
		t.Fatal(err)
	}
	n, _ := info.VerifiedInstructions()
	return n
}

func verifierLog(spec *ebpf.CollectionSpec) string {
	c, err := ebpf.NewCollectionWithOptions(spec.Copy(), ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelInstruction}})
	if err == nil {
		c.Close()
		return "accepted with a log"
	}
	var v *ebpf.VerifierError
	if errors.As(err, &v) {
		lines := v.Log
		if len(lines) > 40 {
			lines = lines[len(lines)-40:]
		}
		return strings.Join(lines, "\n")
	}
	return err.Error()
}

func names[T any](m map[string]T) []string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

// TestEveryAcceptedProgramIsAcceptedInstrumented is the table of all programs at
// hand. A folder of further objects can be named in BPFFUZZ_OBJECTS.
func TestEveryAcceptedProgramIsAcceptedInstrumented(t *testing.T) {
	needKernel(t)
	var growth []float64
	rungs, compareRungs := map[instrument.Rung]int{}, map[instrument.Rung]int{}
	comparisons, logged := 0, 0
	t.Logf("%-24s %-28s %6s %6s %5s %5s %5s %8s %8s %s", "object", "program", "edges", "probes", "skip", "loops", "sites", "verified", "with", "rung")
	for _, object := range objects(t) {
		base := filepath.Base(object)
		spec, err := ebpf.LoadCollectionSpec(object)
		if err != nil {
			t.Logf("%-24s cannot be read: %.80v", base, err)
			continue
		}
		for _, name := range names(spec.Programs) {
			one := alone(spec, name)
			if one == nil {
				continue
			}
			c, err := load(one)
			if err != nil {
				t.Logf("%-24s %-28s not accepted plain: %.80v", base, name, err)
				continue
			}
			before := verified(t, c, name)
			c.Close()
			plan := mustAnalyze(t, one)
			c, step := climb(t, one, plan, instrument.Full, instrument.Cover)
			rungs[step.Rung]++
			if c == nil {
				t.Errorf("%s: program %s is accepted plain and at no rung:\n%s", base, name,
					verifierLog(instrumented(t, one, plan, instrument.Step{Rung: instrument.Eighth}, instrument.Cover)))
				continue
			}
			after := verified(t, c, name)
			c.Close()
			growth = append(growth, float64(after)/float64(before))
			table := plan.Table(step.Rung)
			t.Logf("%-24s %-28s %6d %6d %5d %5d %5d %8d %8d %s", base, name, len(table.Edges), table.Probes, len(table.Edges)-table.Observable(),
				len(table.Loops), len(plan.Layout(step.Rung, instrument.Cover).Sites), before, after, step)
			if c, _ = climb(t, one, plan, step.Rung, instrument.Trace); c == nil {
				t.Errorf("%s: the trace variant of program %s is accepted at no rung", base, name)
				continue
			}
			c.Close()
			if c, err = load(instrumented(t, one, plan, step, instrument.Poison)); err != nil {
				t.Errorf("%s: the poison variant of program %s is not accepted at %s: %v", base, name, step, err)
				continue
			}
			c.Close()
			c, step = climb(t, one, plan, instrument.Full, instrument.Compare)
			if c == nil {
				t.Errorf("%s: the compare variant of program %s is accepted at no rung:\n%s", base, name,
					verifierLog(instrumented(t, one, plan, instrument.Step{Rung: instrument.Eighth}, instrument.Compare)))
				continue
			}
			c.Close()
			layout := plan.Layout(step.Rung, instrument.Compare)
			compareRungs[step.Rung]++
			comparisons += len(table.Comparisons)
			logged += len(layout.Operands)
		}
	}
	t.Logf("%d of %d comparisons are logged, rungs %v", logged, comparisons, compareRungs)
	if len(growth) == 0 {
		t.Fatal("no program was accepted at all")
	}
	sort.Float64s(growth)
	t.Logf("%d programs accepted plain, rungs %v; verified instructions grow by %.2f (median), %.2f (nine in ten), %.2f (most)",
		len(growth)+rungs[instrument.None], rungs, growth[len(growth)/2], growth[len(growth)*9/10], growth[len(growth)-1])
}

func mustAnalyze(t testing.TB, spec *ebpf.CollectionSpec) *instrument.Plan {
	t.Helper()
	plan, err := instrument.Analyze([]instrument.Program{program(spec)}, options(spec))
	if err != nil {
		t.Fatalf("analysing %s: %v", program(spec).Name, err)
	}
	return plan
}
