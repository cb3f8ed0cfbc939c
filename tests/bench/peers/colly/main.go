// Colly: colly START_URL ITEMS.jsonl DOMAIN...
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"
	"strings"
	"sync"

	"github.com/gocolly/colly/v2"
)

type item struct {
	Name  string `json:"name"`
	Price string `json:"price"`
	Sku   string `json:"sku"`
	At    string `json:"at"`
	About string `json:"about"`
}

func main() {
	file, err := os.Create(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	out := bufio.NewWriter(file)
	encoder := json.NewEncoder(out)
	var lock sync.Mutex
	var seen sync.Map
	seen.Store(os.Args[1], true)

	collector := colly.NewCollector(colly.Async(true))
	collector.IgnoreRobotsTxt = false
	if err := collector.Limit(&colly.LimitRule{DomainGlob: "*", Parallelism: 32}); err != nil {
		log.Fatal(err)
	}
	collector.OnHTML("html", func(page *colly.HTMLElement) {
		found := item{
			Name:  page.ChildText("h1.name"),
			Price: page.ChildText(".price"),
			Sku:   page.ChildText("span.sku"),
			At:    page.ChildText("time.at"),
			About: page.ChildText("p.about"),
		}
		lock.Lock()
		err := encoder.Encode(found)
		lock.Unlock()
		if err != nil {
			log.Fatal(err)
		}
	})
	collector.OnHTML("a.more", func(link *colly.HTMLElement) {
		url, _, _ := strings.Cut(link.Attr("href"), "#") // colly takes it for another page
		url = link.Request.AbsoluteURL(url)
		// Its own check is not atomic, and lets pages through twice.
		if _, known := seen.LoadOrStore(url, true); !known {
			_ = link.Request.Visit(url) // an error says that it may not be visited
		}
	})
	if err := collector.Visit(os.Args[1]); err != nil {
		log.Fatal(err)
	}
	collector.Wait()
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}
