package report

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// TestSARIFRules holds what is written against the rules of SARIF 2.1.0 that it falls under
// and those that GitHub adds for places, read as any reader would.
func TestSARIFRules(t *testing.T) {
	odd := append(statuses(), &Status{Key: "k", Kind: "verdict", File: "a b#c.c"}, &Status{Key: "l", Kind: "checksum", File: "x.c", Line: 3, Count: 2})
	for name, all := range map[string][]*Status{"none": nil, "usual": statuses(), "odd": odd} {
		b, err := SARIF("v1", all)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkSARIF(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	good, err := SARIF("v1", odd)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"2.1.0"`, `"2.0.0"`},
		{`"fail"`, `"failed"`},
		{`"startLine": 3`, `"startLine": 0`},
		{`"uri": "x.c"`, `"uri": "/x.c"`},
		{`"occurrenceCount": 2`, `"occurrenceCount": 0`},
		{`"ruleIndex": 0`, `"ruleIndex": 9`},
	} {
		bad := strings.Replace(string(good), change[0], change[1], 1)
		if bad == string(good) || checkSARIF([]byte(bad)) == nil {
			t.Errorf("a log with %s for %s passes", change[1], change[0])
		}
	}
}

type object = map[string]any

func checkSARIF(b []byte) error {
	var log object
	if err := json.Unmarshal(b, &log); err != nil {
		return err
	}
	runs, _ := log["runs"].([]any)
	if log["version"] != "2.1.0" || len(runs) != 1 {
		return fmt.Errorf("version %v with %d runs", log["version"], len(runs))
	}
	run, _ := runs[0].(object)
	tool, _ := run["tool"].(object)
	driver, _ := tool["driver"].(object)
	rules, ok := driver["rules"].([]any)
	if name, _ := driver["name"].(string); name == "" || !ok {
		return fmt.Errorf("a driver without name or rules: %v", driver)
	}
	results, ok := run["results"].([]any)
	if !ok {
		return fmt.Errorf("results are %T, no array", run["results"])
	}
	for i, r := range results {
		result, _ := r.(object)
		if err := checkSARIFResult(result, rules); err != nil {
			return fmt.Errorf("result %d: %w", i, err)
		}
	}
	return nil
}

func checkSARIFResult(r object, rules []any) error {
	index, _ := r["ruleIndex"].(float64)
	if int(index) >= len(rules) || rules[int(index)].(object)["id"] != r["ruleId"] {
		return fmt.Errorf("rule %v is not at %v", r["ruleId"], r["ruleIndex"])
	}
	kind, _ := r["kind"].(string)
	level, _ := r["level"].(string)
	if !slices.Contains([]string{"pass", "fail"}, kind) || kind == "fail" && level != "error" || kind == "pass" && level != "none" {
		return fmt.Errorf("kind %q of level %q", kind, level)
	}
	if n, given := r["occurrenceCount"].(float64); given && n < 1 {
		return fmt.Errorf("%v occurrences", n)
	}
	if message, _ := r["message"].(object); message["text"] == nil {
		return fmt.Errorf("message %v has no text", r["message"])
	}
	places, _ := r["locations"].([]any)
	for _, p := range places {
		physical, _ := p.(object)["physicalLocation"].(object)
		artifact, _ := physical["artifactLocation"].(object)
		uri, _ := artifact["uri"].(string)
		if u, err := url.Parse(uri); err != nil || uri == "" || u.IsAbs() || strings.HasPrefix(uri, "/") || u.Fragment != "" {
			return fmt.Errorf("place %q is no relative reference", uri)
		}
		if region, given := physical["region"].(object); given {
			if line, _ := region["startLine"].(float64); line < 1 {
				return fmt.Errorf("line %v", region["startLine"])
			}
		}
	}
	return nil
}
