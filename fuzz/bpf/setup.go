package bpf

import (
	"maps"
	"slices"

	"github.com/cilium/ebpf"
)

// Setup is what is done to an object before its programs are loaded. The zero
// value leaves it as it is. Errors name what was set, what it should have been,
// and the line of the target file where the values come from one.
type Setup struct {
	// Variables are values of constants and globals by name; MapItem says what a
	// value may be.
	Variables map[string]any
	// Maps are initial contents, in addition to those of the object.
	Maps MapContents
	// FuzzMaps are maps of which inputs bring initial entries, in addition to Maps.
	FuzzMaps MapBounds
	// TailCalls are names of programs by prog array and index.
	TailCalls map[string]map[uint32]string
	// places are those of a target file, for errors.
	places map[string]string
	// Reuse are maps of the kernel that take the place of the object's, by the names
	// that they have there. Programs share them with whoever else uses them.
	Reuse map[string]MapRef
	// RealHelpers leaves helpers that return time, chance and the processor as they are.
	// Otherwise what they return comes from the input, so that a replay is exact.
	RealHelpers bool
	// Faults has inputs make calls of helpers fail: the n-th fallible one of a step, where
	// corpus.Step.Fault is n.
	Faults bool
}

// Setup returns what the file says about setting up the object.
func (t *TargetFile) Setup() Setup {
	return Setup{Variables: t.Variables, Maps: t.Maps, FuzzMaps: t.FuzzMaps, TailCalls: t.TailCalls, Reuse: t.Reuse, RealHelpers: t.RealHelpers, Faults: t.Faults, places: t.places}
}

// With returns s with what more sets besides, which has precedence name by name.
func (s Setup) With(more Setup) Setup {
	return Setup{
		Variables: joined(s.Variables, more.Variables), Maps: joined(s.Maps, more.Maps),
		FuzzMaps: joined(s.FuzzMaps, more.FuzzMaps), TailCalls: joined(s.TailCalls, more.TailCalls), Reuse: joined(s.Reuse, more.Reuse), places: s.places,
		RealHelpers: s.RealHelpers || more.RealHelpers, Faults: s.Faults || more.Faults,
	}
}

// joined returns a map with the entries of both; those of b have precedence.
func joined[M ~map[string]V, V any](a, b M) M {
	all := make(M, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

// apply changes spec. Per-CPU values are repeated for each of cpus possible CPUs.
// It has to come before the shape is made, which reads the contents.
func (s *Setup) apply(spec *ebpf.CollectionSpec, cpus int) error {
	if err := setVariables(spec, s.Variables); err != nil {
		return err
	}
	if err := setTailCalls(spec, s.TailCalls, s.places); err != nil {
		return err
	}
	encoded, err := encodeMaps(spec, s.Maps)
	if err != nil {
		return err
	}
	setContents(spec, encoded, cpus)
	return nil
}

// isPerCPU reports whether a map has a value for each CPU.
func isPerCPU(t ebpf.MapType) bool {
	return slices.Contains([]ebpf.MapType{ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage}, t)
}
