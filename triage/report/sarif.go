package report

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// SARIF returns findings as a SARIF 2.1.0 log with one run of the tool's version.
// Known findings are suppressed results, fixed ones pass. A result's fingerprint is
// the finding's key.
func SARIF(version string, all []*Status) ([]byte, error) {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver.Name, run.Tool.Driver.Version = "bpffuzz", version
	run.Tool.Driver.Rules = []sarifRule{}
	rules := map[string]int{}
	for _, s := range all {
		if _, ok := rules[s.Kind]; !ok {
			rules[s.Kind] = len(rules)
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{s.Kind})
		}
		run.Results = append(run.Results, newSARIFResult(s, rules[s.Kind]))
	}
	b, err := json.MarshalIndent(sarifLog{
		Schema:  "https://json.schemastore.org/sarif-2.1.0.json",
		Version: "2.1.0", Runs: []sarifRun{run},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing SARIF: %w", err)
	}
	return append(b, '\n'), nil
}

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver struct {
			Name    string      `json:"name"`
			Version string      `json:"version"`
			Rules   []sarifRule `json:"rules"`
		} `json:"driver"`
	} `json:"tool"`
	Results []sarifResult `json:"results"`
}

type sarifRule struct {
	ID string `json:"id"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Kind         string             `json:"kind"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations,omitempty"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Occurrences  int                `json:"occurrenceCount,omitempty"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	Properties   map[string]string  `json:"properties"`
}

type sarifSuppression struct {
	Kind string `json:"kind"`
}

type sarifLocation struct {
	Physical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	} `json:"physicalLocation"`
}

// sarifRegion has a line from 1 on.
type sarifRegion struct {
	Line int `json:"startLine"`
}

func newSARIFResult(s *Status, rule int) sarifResult {
	r := sarifResult{
		RuleID: s.Kind, RuleIndex: rule, Kind: "fail", Level: "error",
		Message:      sarifText{s.Program + ": " + s.Title},
		Fingerprints: map[string]string{"bpffuzz/key": s.Key}, Occurrences: s.Count,
		Properties: map[string]string{"state": s.Text()},
	}
	if s.State == Fixed {
		r.Kind, r.Level = "pass", "none" // a level goes with failures only
	}
	if s.Known {
		r.Suppressions = []sarifSuppression{{"external"}}
	}
	if s.Command != "" {
		r.Properties["replay"] = s.Command
	}
	if s.File != "" {
		var l sarifLocation
		l.Physical.Artifact.URI = artifactURI(s.File)
		if s.Line > 0 {
			l.Physical.Region = &sarifRegion{s.Line}
		}
		r.Locations = []sarifLocation{l}
	}
	return r
}

// artifactURI makes a file's name a URI reference that is relative, as services want it.
func artifactURI(file string) string {
	return (&url.URL{Path: strings.TrimLeft(file, "/")}).String()
}
