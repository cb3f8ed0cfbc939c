// Colly: colly [-own] START_URL ITEMS.jsonl DOMAIN...; with -own it is asked about new URLs only.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
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
	own := flag.Bool("own", false, "keep a set of the URLs that were seen")
	flag.Parse()
	file, err := os.Create(flag.Arg(1))
	if err != nil {
		log.Fatal(err)
	}
	out := bufio.NewWriter(file)
	encoder := json.NewEncoder(out)
	var lock sync.Mutex
	var seen sync.Map
	seen.Store(flag.Arg(0), true)

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
		if *own {
			if _, known := seen.LoadOrStore(url, true); known {
				return
			}
		}
		_ = link.Request.Visit(url) // an error says that it was visited
	})
	if err := collector.Visit(flag.Arg(0)); err != nil {
		log.Fatal(err)
	}
	collector.Wait()
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}
