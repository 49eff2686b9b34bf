package triage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Rejected is the oracle of programs that the kernel does not load. None is asked: there
// is nothing to run.
const Rejected = "rejected"

// NewRejected describes a program that the kernel rejects as it is: title is the reason
// in one line, decisive are the lines of the verifier's log that say why, log is all of it.
// The finding's input is empty. There is one for a program.
func NewRejected(program, kind, title string, decisive, log []string) *Finding {
	f := &Finding{
		Oracle: Rejected, Program: program, Type: kind, Title: title, Input: &corpus.Input{}, Original: &corpus.Input{},
		Key: keyAt(Rejected, program, nil), Reliability: 1, Runs: 1, Count: 1, Notes: slices.Clone(decisive),
	}
	if n := len(log) - maxLog; n > 0 {
		f.Notes = append(f.Notes, fmt.Sprintf("the verifier's log has %d lines, the last %d of which are below", len(log), maxLog))
		log = log[n:]
	}
	for _, line := range log {
		f.Events = append(f.Events, corpus.Event{Source: SourceVerifier, Text: line})
	}
	return f
}

// maxLog is how many lines of the verifier's log a finding has.
const maxLog = 2000

// SourceVerifier is the source of events that are lines of the verifier's log.
const SourceVerifier = "verifier"

// HasNoRun reports whether a key is that of a finding whose input is not to be run: it
// ends the process, or there is none.
func HasNoRun(key string) bool { return IsFatal(key) || strings.HasPrefix(key, Rejected+"-") }
