package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLoopbackOnlyByItsNames(t *testing.T) {
	h := handler(t, newToy(t), Options{})
	r := get(t, h, http.MethodGet, "/")
	if r.StatusCode != http.StatusOK {
		t.Errorf("status %d", r.StatusCode)
	}
	request, err := http.NewRequest(http.MethodGet, "http://evil.example/", nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request)
	if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "night") {
		t.Errorf("a name that leads here: status %d: %s", w.Code, w.Body)
	}
}

func TestTokenLeavesACookie(t *testing.T) {
	h := handler(t, newToy(t), Options{Token: token})
	answer := get(t, h, http.MethodGet, "/targets/parser?tab=1&token="+token)
	cookies := answer.Cookies()
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/targets/parser?tab=1" || len(cookies) != 1 {
		t.Fatalf("status %d, location %q, cookies %v", answer.StatusCode, answer.Header.Get("Location"), cookies)
	}
	c := cookies[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || strings.Contains(c.String(), token) {
		t.Errorf("cookie %s", c)
	}
	for name, test := range map[string]struct {
		path, header, value string
		want                int
	}{
		"nothing":            {"/", "X-Nothing", "", http.StatusUnauthorized},
		"cookie":             {"/", "Cookie", c.Name + "=" + c.Value, http.StatusOK},
		"another cookie":     {"/", "Cookie", c.Name + "=" + c.Value[1:] + "0", http.StatusUnauthorized},
		"token as a cookie":  {"/", "Cookie", c.Name + "=" + token, http.StatusUnauthorized},
		"header":             {"/api/status", "Authorization", "Bearer " + token, http.StatusOK},
		"wrong header":       {"/api/status", "Authorization", "Bearer " + token + "0", http.StatusUnauthorized},
		"wrong token":        {"/?token=" + token[1:], "X-Nothing", "", http.StatusUnauthorized},
		"asset":              {"/assets/app.css", "X-Nothing", "", http.StatusOK},
		"through assets":     {"/assets/../api/status", "X-Nothing", "", http.StatusTemporaryRedirect},
		"through assets, %":  {"/assets/%2e%2e/api/status", "X-Nothing", "", http.StatusNotFound},
		"below assets":       {"/assets/..%2fapi/status", "X-Nothing", "", http.StatusNotFound},
		"events":             {"/events", "X-Nothing", "", http.StatusUnauthorized},
		"to another machine": {"//evil.example/?token=" + token, "X-Nothing", "", http.StatusSeeOther},
	} {
		answer := get(t, h, http.MethodGet, test.path, test.header, test.value)
		if answer.StatusCode != test.want {
			t.Errorf("%s: status %d, want %d", name, answer.StatusCode, test.want)
		}
		if text := body(t, answer); answer.StatusCode != http.StatusOK && (strings.Contains(text, token) || strings.Contains(text, "night")) {
			t.Errorf("%s: the answer tells something: %s", name, text)
		}
		if to := answer.Header.Get("Location"); strings.HasPrefix(to, "//") || strings.Contains(to, token) {
			t.Errorf("%s: leads to %s", name, to)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for path, want := range map[string]string{"/": "/", "/a?b": "/a?b", "//evil.example/": "/evil.example/", `/\evil.example`: "/evil.example", "///": "/"} {
		if got := localPath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
