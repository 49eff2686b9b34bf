package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

const (
	// maxRaw bounds what is read as packet or context, in bytes.
	maxRaw = 1 << 20
	// defaultDataOut and defaultContextOut are the sizes of output buffers, in bytes:
	// larger than any output of the kernel.
	defaultDataOut    = 1 << 18
	defaultContextOut = 1 << 16
)

// rawFlags make replay do what bpftool prog run does: run the program as it is, on
// bytes from files.
type rawFlags struct {
	dataIn, dataOut, ctxIn, ctxOut string
	dataSize, ctxSize              uint32
	cpu                            int
	flags, pin                     string
	checksum, profile              bool

	dataSizeSet, ctxSizeSet bool
}

func (f *rawFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.dataIn, "data-in", "", "run the program as it is on the packet in `file`, - for standard input")
	flags.StringVar(&f.dataOut, "data-out", "", "write the packet after the run to `file`, - for standard output")
	flags.Uint32Var(&f.dataSize, "data-size-out", defaultDataOut, "size of the buffer for --data-out in `bytes`")
	flags.StringVar(&f.ctxIn, "ctx-in", "", "run the program as it is with the context in `file`, - for standard input")
	flags.StringVar(&f.ctxOut, "ctx-out", "", "write the context after the run to `file`, - for standard output")
	flags.Uint32Var(&f.ctxSize, "ctx-size-out", defaultContextOut, "size of the buffer for --ctx-out in `bytes`")
	flags.IntVar(&f.cpu, "cpu", -1, "with --data-in or --ctx-in, the `processor` to run on (raw tracepoints)")
	flags.StringVar(&f.flags, "flags", "", "with --data-in or --ctx-in, `flags` of BPF_PROG_RUN: a number, or on-cpu, live-frames, checksum-complete with commas between")
	flags.BoolVar(&f.checksum, "checksum-complete", false, "with --data-in, let the kernel check that the program updates skb->csum")
	flags.BoolVar(&f.profile, "profile", false, "count cycles, instructions and misses for each run")
	flags.StringVar(&f.pin, "pin", "", "pin the program, loaded as it is, and its maps to this `directory` of a BPF file system")
	for _, name := range []string{"data-in", "data-out", "ctx-in", "ctx-out"} {
		_ = cmd.MarkFlagFilename(name)
	}
}

// wanted reports whether the program is run on raw bytes, or just loaded and pinned.
func (f *rawFlags) wanted() bool { return f.dataIn != "" || f.ctxIn != "" || f.pin != "" }

// check refuses what makes no sense, and what would have the kernel write to memory
// that it was not given.
func (f *rawFlags) check(inputs int) error {
	switch {
	case !f.wanted() && (f.dataOut != "" || f.ctxOut != "" || f.dataSizeSet || f.ctxSizeSet || f.cpu >= 0 || f.flags != "" || f.checksum):
		return usageError("--data-out, --data-size-out, --ctx-out, --ctx-size-out, --cpu, --flags and --checksum-complete belong to --data-in or --ctx-in")
	case f.wanted() && inputs > 0:
		return usageError("%s and --data-in, --ctx-in or --pin: choose inputs that are replayed, or raw bytes", count(inputs, "input"))
	case f.dataIn == "-" && f.ctxIn == "-":
		return usageError("--data-in - and --ctx-in -: one of them can be standard input")
	case f.dataOut == "-" && f.ctxOut == "-":
		return usageError("--data-out - and --ctx-out -: one of them can be standard output")
	case f.dataSizeSet && f.dataOut == "", f.ctxSizeSet && f.ctxOut == "":
		return usageError("a size of an output needs the output: --data-out, --ctx-out")
	case f.dataOut != "" && f.dataSize == 0:
		return usageError("--data-size-out 0: with a buffer of size 0 the kernel writes without a bound; leave it out or give the size")
	case f.ctxOut != "" && f.ctxSize == 0:
		return usageError("--ctx-size-out 0: give the size or leave it out")
	case f.dataSize > math.MaxInt32, f.ctxSize > math.MaxInt32:
		return usageError("a buffer has at most %d bytes", math.MaxInt32)
	}
	return nil
}

// bits returns the flags of BPF_PROG_RUN.
func (f *rawFlags) bits() (bits uint32, err error) {
	for _, word := range strings.Split(f.flags, ",") {
		switch word {
		case "":
		case "on-cpu":
			bits |= bpf.FlagOnCPU
		case "live-frames":
			bits |= bpf.FlagLiveFrames
		case "checksum-complete":
			bits |= bpf.FlagChecksumComplete
		default:
			n, err := strconv.ParseUint(word, 0, 32)
			if err != nil {
				return 0, usageError("--flags %q: write a number, or on-cpu, live-frames, checksum-complete", word)
			}
			bits |= uint32(n)
		}
	}
	if f.checksum {
		bits |= bpf.FlagChecksumComplete
	}
	if f.cpu >= 0 {
		bits |= bpf.FlagOnCPU
	}
	return bits, nil
}

// rawRun reads the files and makes the call.
func (f *replayFlags) rawRun() (r bpf.RawRun, err error) {
	if r.Flags, err = f.raw.bits(); err != nil {
		return r, err
	}
	if f.live.on {
		r.Flags |= bpf.FlagLiveFrames
	}
	if f.repeat > math.MaxInt32 {
		return r, usageError("--repeat %d: at most %d", f.repeat, math.MaxInt32)
	}
	r.Repeat, r.CPU, r.BatchSize, r.Profile = uint32(f.repeat), uint32(max(f.raw.cpu, 0)), uint32(f.live.batch), f.raw.profile
	if r.Data, err = readRaw(f.raw.dataIn); err != nil {
		return r, err
	}
	if r.Context, err = readRaw(f.raw.ctxIn); err != nil {
		return r, err
	}
	if f.raw.dataOut != "" {
		r.DataOut = int(f.raw.dataSize)
	}
	if f.raw.ctxOut != "" {
		r.ContextOut = int(f.raw.ctxSize)
	}
	return r, nil
}

// readRaw reads a file, standard input for "-", nothing for "".
func readRaw(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	from := io.Reader(os.Stdin)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading raw bytes: %w", err)
		}
		defer file.Close()
		from = file
	}
	b, err := io.ReadAll(io.LimitReader(from, maxRaw+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading raw bytes: %w", err)
	case len(b) > maxRaw:
		return nil, fmt.Errorf("reading raw bytes: %s has more than %d bytes", path, maxRaw)
	case len(b) == 0:
		return nil, fmt.Errorf("reading raw bytes: %s is empty", path)
	}
	return b, nil
}

// runRaw is replay with --data-in, --ctx-in or --pin.
func (f *replayFlags) runRaw(_ context.Context, u *ui) (err error) {
	call, err := f.rawRun()
	if err != nil {
		return err
	}
	program, err := f.openPlain()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, program.Close()) }()
	if note := program.Doubt(call); note != "" {
		u.warn("%s", note)
	}
	r := &rawReport{}
	if f.raw.pin != "" {
		if r.Pinned, err = program.Pin(f.raw.pin); err != nil {
			return err
		}
	}
	if f.raw.dataIn == "" && f.raw.ctxIn == "" {
		return f.showRaw(u, r)
	}
	run := func() error { return f.callRaw(program, call, r) }
	if program.Foreign() {
		u.say("note: program %q was loaded by somebody else and is run as it is: its maps are in use, and what the run writes to them stays", program.Name())
		r.Program, err = counted(program, run)
	} else {
		err = run()
	}
	return errors.Join(f.saveRaw(u, r), err)
}

// callRaw makes the call. What there is of a result is in r, also when it failed.
func (f *replayFlags) callRaw(program *bpf.Loaded, call bpf.RawRun, r *rawReport) error {
	result, err := program.Run(call)
	if result == nil {
		return err
	}
	r.done, r.result = true, result
	r.Ret, r.Duration, r.Printed = result.Ret, result.Duration, result.Printed
	if r.live = call.Flags&bpf.FlagLiveFrames != 0; !r.live {
		r.Verdict = program.Verdict(result.Ret)
	}
	if f.raw.dataOut != "" {
		r.Data = hex.EncodeToString(result.Data)
	}
	if f.raw.ctxOut != "" {
		r.Context = hex.EncodeToString(result.Context)
	}
	r.Profile = newProfile(result.Counters)
	if errors.Is(err, bpf.ErrChecksum) {
		r.Objection = err.Error()
		return errFindings
	}
	return err
}

// saveRaw writes the outputs where they are wanted, and shows the result.
func (f *replayFlags) saveRaw(u *ui, r *rawReport) error {
	if !r.done {
		return nil
	}
	for _, out := range []struct {
		path string
		b    []byte
	}{{f.raw.dataOut, r.result.Data}, {f.raw.ctxOut, r.result.Context}} {
		if err := f.writeRaw(u, out.path, out.b); err != nil {
			return fmt.Errorf("writing an output of the run: %w", err)
		}
	}
	return f.showRaw(u, r)
}

// writeRaw writes an output. Devices and pipes are written to, not replaced.
func (f *replayFlags) writeRaw(u *ui, path string, b []byte) error {
	switch path {
	case "":
		return nil
	case "-":
		if f.json { // which has it
			return nil
		}
		_, err := u.stdout.Write(b)
		return err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = file.Write(b)
		return errors.Join(err, file.Close())
	}
	return writeWhole(path, b)
}

// showRaw writes the report to standard output, or to standard error where that has
// an output of the program.
func (f *replayFlags) showRaw(u *ui, r *rawReport) error {
	switch {
	case f.json:
		return u.printJSON(r)
	case f.raw.dataOut == "-" || f.raw.ctxOut == "-":
		for _, line := range strings.Split(strings.TrimRight(r.text(), "\n"), "\n") {
			u.say("%s", line)
		}
	default:
		u.print(r.text())
	}
	return nil
}
