package instrument_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
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
func instrumented(t testing.TB, spec *ebpf.CollectionSpec, plan *instrument.Plan, rung instrument.Rung, variant instrument.Variant) *ebpf.CollectionSpec {
	t.Helper()
	code, err := plan.Rewrite(rung, variant, coverMap)
	if err != nil {
		t.Fatal(err)
	}
	out := spec.Copy()
	for _, prog := range out.Programs {
		prog.Instructions = code[0]
	}
	out.Maps[coverMap] = &ebpf.MapSpec{
		Name: coverMap, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(plan.Layout(rung, variant).Size), MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE,
	}
	return out
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

func TestEveryAcceptedProgramIsAcceptedInstrumented(t *testing.T) {
	needKernel(t)
	plain, accepted, full := 0, 0, 0
	t.Logf("%-28s %-28s %-8s %6s %6s %6s %5s %5s %8s %8s", "object", "program", "rung", "edges", "probes", "skip", "loops", "sites", "verified", "with")
	for _, object := range objects(t) {
		spec, err := ebpf.LoadCollectionSpec(object)
		if err != nil {
			t.Logf("%-28s not readable: %v", filepath.Base(object), err)
			continue
		}
		for _, name := range names(spec.Programs) {
			one := alone(spec, name)
			if one == nil {
				continue
			}
			c, err := load(one)
			if err != nil {
				t.Logf("%-28s %-28s not accepted plain: %.80v", filepath.Base(object), name, err)
				continue
			}
			plain++
			before := verified(t, c, name)
			c.Close()
			row, rung := climb(t, one, name)
			t.Logf("%-28s %-28s %s", filepath.Base(object), name, fmt.Sprintf(row, before))
			switch {
			case rung == instrument.None:
				t.Errorf("%s: program %s is accepted plain and at no rung:\n%s", filepath.Base(object), name,
					verifierLog(instrumented(t, one, mustAnalyze(t, one), instrument.Eighth, instrument.Cover)))
			case rung == instrument.Full:
				full++
				fallthrough
			default:
				accepted++
			}
		}
	}
	t.Logf("%d programs accepted plain, %d instrumented, %d of them at the first rung", plain, accepted, full)
	if plain == 0 {
		t.Error("no program was accepted at all")
	}
}

func mustAnalyze(t testing.TB, spec *ebpf.CollectionSpec) *instrument.Plan {
	t.Helper()
	plan, err := instrument.Analyze([]instrument.Program{program(spec)}, options(spec))
	if err != nil {
		t.Fatalf("analysing %s: %v", program(spec).Name, err)
	}
	return plan
}

// climb finds the first rung that the kernel accepts, and the trace variant's.
func climb(t *testing.T, spec *ebpf.CollectionSpec, name string) (string, instrument.Rung) {
	t.Helper()
	plan := mustAnalyze(t, spec)
	for rung := instrument.Full; rung < instrument.None; rung++ {
		c, err := load(instrumented(t, spec, plan, rung, instrument.Cover))
		if err != nil {
			t.Logf("%s: rung %s: %v", name, rung, err)
			if os.Getenv("BPFFUZZ_LOG") != "" {
				t.Log(verifierLog(instrumented(t, spec, plan, rung, instrument.Cover)))
			}
			continue
		}
		after := verified(t, c, name)
		c.Close()
		if c, err = load(instrumented(t, spec, plan, rung, instrument.Trace)); err != nil {
			t.Errorf("%s: trace variant at rung %s: %v\n%s", name, rung, err, verifierLog(instrumented(t, spec, plan, rung, instrument.Trace)))
		} else {
			c.Close()
		}
		table := plan.Table(rung)
		return fmt.Sprintf("%-8s %6d %6d %6d %5d %5d %%8d %8d", rung, len(table.Edges), table.Probes, len(table.Edges)-table.Observable(), len(table.Loops), len(plan.Layout(rung, instrument.Cover).Sites), after), rung
	}
	return "%d", instrument.None
}

var _ = asm.R0
