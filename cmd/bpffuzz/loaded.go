package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// loadedFlags name what is in the kernel already: a program to run in place of an
// object's, maps to use in place of an object's.
type loadedFlags struct {
	which    bpf.Selector
	maps     []string
	typ, dev string
	feedback []string
}

func (f *loadedFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.which.Pinned, "pinned", "", "run the loaded program that is pinned at `path`, in place of an object's")
	flags.Uint32Var(&f.which.ID, "id", 0, "run the loaded program with this `number`")
	flags.StringVar(&f.which.Tag, "tag", "", "run the loaded program with this `tag`, 16 hexadecimal digits")
	flags.StringVar(&f.which.Name, "name", "", "run the loaded program with this `name`")
	flags.StringArrayVar(&f.maps, "map", nil, "use a map of the kernel for one of the object's: `NAME=id:N`, NAME=pinned:PATH or NAME=name:OTHER (may be repeated)")
	flags.StringVar(&f.typ, "type", "", "load the program as this `type`, by bpftool's names")
	flags.StringArrayVar(&f.feedback, "feedback-map", nil, "let the counters in the map of this `name` guide the fuzzer as coverage does (may be repeated)")
	flags.StringVar(&f.dev, "dev", "", "refused: offload to a `device`")
	_ = flags.MarkHidden("dev")
	_ = cmd.MarkFlagFilename("pinned")
}

// loaded reports whether a program of the kernel is meant.
func (f *loadedFlags) loaded() bool { return f.which != (bpf.Selector{}) }

// check refuses flags that contradict each other.
func (f *loadedFlags) check() error {
	given := 0
	for _, on := range []bool{f.which.Pinned != "", f.which.ID != 0, f.which.Tag != "", f.which.Name != ""} {
		if on {
			given++
		}
	}
	switch {
	case f.dev != "":
		return usageError("--dev %s: programs that are offloaded to a device run there, where nothing can be observed; leave --dev out to run the same program in the kernel", f.dev)
	case given > 1:
		return usageError("choose one of --pinned, --id, --tag and --name")
	case given == 1 && len(f.maps) > 0:
		return usageError("--map: a program that is loaded already has its maps; give an object to choose others")
	case given == 1 && f.typ != "":
		return usageError("--type: a program that is loaded already has a type; give an object to load it as another")
	}
	return nil
}

// reuse returns what the flags say over what a target file says.
func (f *loadedFlags) reuse(file map[string]bpf.MapRef) (map[string]bpf.MapRef, error) {
	refs := map[string]bpf.MapRef{}
	for name, ref := range file {
		refs[name] = ref
	}
	for _, text := range f.maps {
		name, ref, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usageError("--map %q: write NAME=id:N, NAME=pinned:PATH or NAME=name:OTHER", text)
		}
		if err := bpf.MapRef(ref).Check(); err != nil {
			return nil, usageError("--map %s: %w", name, err)
		}
		refs[name] = bpf.MapRef(ref)
	}
	return refs, nil
}

// words are the flags as they were given.
func (f *loadedFlags) words() []string {
	var words []string
	option := func(flag, value string) {
		if value != "" {
			words = append(words, flag, report.ShellWord(value))
		}
	}
	option("--pinned", f.which.Pinned)
	option("--tag", f.which.Tag)
	option("--name", f.which.Name)
	if f.which.ID != 0 {
		option("--id", count32(f.which.ID))
	}
	option("--type", f.typ)
	for _, text := range f.maps {
		option("--map", text)
	}
	for _, name := range f.feedback {
		option("--feedback-map", name)
	}
	return words
}

// options are what the program is made a target, or loaded, with.
func (f *targetFlags) options() (bpf.Options, error) {
	opts := bpf.Options{
		Program: f.program, Type: f.kernel.typ, Setup: f.file.Setup(), MaxSteps: f.file.MaxSteps,
		CheckVerifier: f.checkVerifier,
		Feedback:      append(append([]string(nil), f.file.Feedback...), f.kernel.feedback...),
	}
	opts.RealHelpers, opts.Faults = opts.RealHelpers || f.realHelpers, opts.Faults || f.faults
	if opts.Program == "" {
		opts.Program = f.file.Program
	}
	if opts.Type == "" {
		opts.Type = f.file.Type
	}
	var err error
	opts.Reuse, err = f.kernel.reuse(f.file.Reuse)
	return opts, err
}

// openTarget makes the program that the flags mean a target.
func (f *targetFlags) openTarget(opts bpf.Options) (*bpf.Target, error) {
	if !f.kernel.loaded() {
		object, err := f.openObject()
		if err != nil {
			return nil, err
		}
		return bpf.NewTarget(object, opts)
	}
	program, err := bpf.OpenLoaded(f.kernel.which)
	if err != nil {
		return nil, err
	}
	target, err := bpf.NewLoadedTarget(program, opts)
	if err != nil {
		return nil, errors.Join(err, program.Close())
	}
	return target, nil // which uses the program as long as the command runs
}

// openPlain opens, or loads, the program that the flags mean as it is.
func (f *targetFlags) openPlain() (*bpf.Loaded, error) {
	if f.kernel.loaded() {
		return bpf.OpenLoaded(f.kernel.which)
	}
	opts, err := f.options()
	if err != nil {
		return nil, err
	}
	object, err := f.openObject()
	if err != nil {
		return nil, err
	}
	return bpf.LoadPlain(object, opts)
}

// openObject opens the object. An error has the line of the target file that names it.
func (f *targetFlags) openObject() (*bpf.Object, error) {
	object, err := bpf.Open(f.path())
	if err != nil && f.object == "" {
		return nil, fmt.Errorf("%s: object: %w", f.file.ObjectAt(), err)
	}
	return object, err
}

// prepare checks that a loaded program has something to guide the fuzzer, and makes
// one worker the default where workers would share counters and blur what is theirs.
func (f *runFlags) prepare(u *ui, workersGiven bool) error {
	if !f.kernel.loaded() {
		return nil
	}
	if len(f.kernel.feedback)+len(f.file.Feedback) == 0 {
		return f.errNoFeedback()
	}
	if !workersGiven {
		f.workers = 1
	}
	if f.workers > 1 {
		u.warn("%s share the maps of the loaded program, so that what one does counts for another too: -j 1 is exact", count(f.workers, "worker"))
	}
	return nil
}

// errNoFeedback names the maps that could guide the fuzzer.
func (f *runFlags) errNoFeedback() error {
	program, err := bpf.OpenLoaded(f.kernel.which)
	if err != nil {
		return err
	}
	names, err := program.FeedbackMaps()
	if err = errors.Join(err, program.Close()); err != nil {
		return err
	}
	known := "it has none that could be; give its object"
	if len(names) > 0 {
		known = "it has " + strings.Join(names, ", ")
	}
	return usageError("program %q is loaded already and cannot be instrumented: name a map of counters to guide the fuzzer with --feedback-map; %s", program.Name(), known)
}
