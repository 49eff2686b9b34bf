package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/expr"
)

// targetFlags say which program is meant and what is wrong with it, for all
// commands that run one.
type targetFlags struct {
	config, program     string
	invariants, oracles []string
	realHelpers, faults bool
	checkVerifier       bool
	maxInsns            uint64
	live                liveFlags
	kernel              loadedFlags

	file   *bpf.TargetFile
	object string // as given on the command line, "" for the target file's
	how    string // to run packets, "" for one by one
	// keeping is bpf.Options.State.
	keeping string
}

func (f *targetFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "target `file` in YAML: object, program, maps, variables, invariants ...")
	flags.StringVarP(&f.program, "program", "p", "", "`name` of the program (default: the only one that can be run)")
	flags.StringArrayVar(&f.invariants, "invariant", nil, "`expression` that has to be true after every run, such as 'ret <= 4' (may be repeated)")
	flags.StringArrayVar(&f.oracles, "oracle", nil, "switch an oracle: `name=on|off` (may be repeated); known are "+strings.Join(triage.OracleNames(), ", "))
	flags.BoolVar(&f.realHelpers, "real-helpers", false, "have the kernel answer helpers for time, chance and the processor, not the input")
	flags.BoolVar(&f.faults, "faults", false, "make calls of helpers fail, as inputs say: the n-th fallible one of a run returns its error")
	flags.BoolVar(&f.checkVerifier, "check-verifier", false, "have each run check what the kernel's verifier claims of numbers in registers")
	flags.Uint64Var(&f.maxInsns, "max-insns", 0, "switch the oracle slow on: no step may execute more than so `many` instructions of the program (default the target file's, or any number)")
	f.live.register(cmd)
	f.kernel.register(cmd)
	_ = cmd.RegisterFlagCompletionFunc("program", f.completePrograms)
	_ = cmd.RegisterFlagCompletionFunc("oracle", completeOracles)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
}

// read reads the target file and takes the object from args, or from the file. It
// returns the arguments that are left.
func (f *targetFlags) read(args []string) ([]string, error) {
	if err := f.kernel.check(); err != nil {
		return nil, err
	}
	f.file = &bpf.TargetFile{}
	if f.config != "" {
		var err error
		if f.file, err = bpf.ReadTargetFile(f.config); err != nil {
			return nil, err
		}
	}
	if f.kernel.loaded() {
		if len(args) > 0 && isELF(args[0]) {
			return nil, usageError("object %s and a program that is loaded already (%s): choose one", args[0], f.kernel.which)
		}
		return args, nil
	}
	if len(args) > 0 && (f.file.Object == "" || isELF(args[0])) {
		f.object, args = args[0], args[1:]
	}
	if f.object == "" && f.file.Object == "" && f.config != "" {
		return nil, usageError("no object: target file %s has none; write \"object: FILE\" into it, or name a compiled BPF object", f.config)
	}
	if f.object == "" && f.file.Object == "" {
		return nil, usageError("no object: name a compiled BPF object, or a target file that has one with -c")
	}
	return args, nil
}

// isELF tells an object from an input.
func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 4)
	_, err = io.ReadFull(f, magic)
	return err == nil && string(magic) == "\x7fELF"
}

func (f *targetFlags) path() string {
	if f.kernel.loaded() {
		return "the kernel"
	}
	if f.object != "" {
		return f.object
	}
	return f.file.Object
}

// subject is a program with what judges it.
type subject struct {
	path      string // of the object
	target    *bpf.Target
	oracles   []triage.Oracle
	relations []triage.Relation
}

func (s *subject) judge() *triage.Judge { return triage.NewJudge(s.oracles, s.relations) }

// load makes the program a target. Steps is how many steps its inputs have at
// least; 0 leaves it to the target file.
func (f *targetFlags) load(u *ui, steps int) (*subject, error) {
	switches, err := f.switches()
	if err != nil {
		return nil, err
	}
	live, err := f.live.options()
	if err != nil {
		return nil, err
	}
	opts, err := f.options()
	if err != nil {
		return nil, err
	}
	opts.MaxSteps, opts.Live = max(opts.MaxSteps, steps), live
	opts.Executor, opts.State = cmp.Or(f.how, "single"), f.keeping
	s := &subject{path: f.path()}
	if s.target, err = f.openTarget(opts); err != nil {
		return nil, err
	}
	for _, note := range s.target.Notes() {
		u.say("note: %s", note)
	}
	if err := f.judge(s, switches); err != nil {
		return nil, err
	}
	if s.judge().Need()&corpus.HaveInsns != 0 {
		return s, s.target.TryCount()
	}
	return s, nil
}

// judge adds oracles and invariants.
func (f *targetFlags) judge(s *subject, switches map[string]bool) (err error) {
	opts := triage.OracleOptions{Enable: switches, MaxInsns: cmp.Or(f.maxInsns, f.file.MaxInsns)}
	for _, inv := range f.file.Invariants {
		o, err := expr.Compile(inv.Name, inv.Expr, s.target.Shape())
		if err != nil {
			return fmt.Errorf("%s: %w", inv.At, err)
		}
		if inv.Every {
			o.When = triage.Every
		}
		opts.Invariants = append(opts.Invariants, o)
	}
	for _, text := range f.invariants {
		o, err := expr.Compile("", text, s.target.Shape())
		if err != nil {
			return fmt.Errorf("--invariant %q: %w", text, err)
		}
		opts.Invariants = append(opts.Invariants, o)
	}
	s.oracles, s.relations, err = triage.Oracles(s.target.Shape(), opts)
	return err
}

// switches returns which oracles are on or off: those of the target file, and
// those of the flags over them.
func (f *targetFlags) switches() (map[string]bool, error) {
	on := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(f.file.Oracles)) {
		if known := triage.OracleNames(); !slices.Contains(known, name) {
			return nil, fmt.Errorf("%s: oracles: unknown oracle %q, choose among %s", f.file.OracleAt(name), name, strings.Join(known, ", "))
		}
		on[name] = f.file.Oracles[name]
	}
	given, err := f.given()
	maps.Copy(on, given)
	return on, err
}

// given returns which oracles flags switch on or off.
func (f *targetFlags) given() (map[string]bool, error) {
	on := map[string]bool{}
	for _, text := range f.oracles {
		name, value, _ := strings.Cut(text, "=")
		switch value {
		case "on", "off":
			on[name] = value == "on"
		default:
			return nil, usageError("--oracle %q: write NAME=on or NAME=off", text)
		}
	}
	return on, nil
}

// code takes the program of that name apart.
func (f *targetFlags) code(program string) (*bpf.Code, error) {
	object, err := f.openObject()
	if err != nil {
		return nil, err
	}
	return object.Code(program, f.file.Setup())
}
