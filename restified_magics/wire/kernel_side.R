# What a call needs inside a kernel of R. It is evaluated there once, and leaves no name: calls find it by
# getOption("restified_magics"). Only base R and what IRkernel itself needs (jsonlite, IRdisplay) is used.
local({
  state <- new.env()

  # -------------------------------------------------------------- values given

  decoded <- function(x) {
    if (!is.list(x)) return(x)
    tag <- x[["$"]]
    if (is.null(names(x)) || is.null(tag)) {
      items <- lapply(x, decoded)
      return(if (is.null(names(x))) simplified(items) else items)
    }
    switch(tag,
      float = switch(x$text, nan = NaN, inf = Inf, `-inf` = -Inf),
      date = as.Date(x$text),
      datetime = as.POSIXct(x$text, tz = x$zone, format = "%Y-%m-%dT%H:%M:%OS"),
      bytes = jsonlite::base64_dec(x$base64),
      dict = lapply(x$fields, decoded),
      table = data.frame(lapply(x$columns, function(column) {
        column <- decoded(column)
        if (is.list(column)) unlist(lapply(column, function(item) if (is.null(item)) NA else item)) else column
      }), check.names = FALSE, stringsAsFactors = FALSE),
      stop("not a value: ", tag)
    )
  }

  # a list of numbers, or of texts, is a vector in R
  simplified <- function(items) {
    kinds <- unique(vapply(items, function(item) class(item)[1], ""))
    plain <- length(items) > 0 && all(lengths(items) == 1) && !any(vapply(items, is.list, NA))
    if (!plain) return(items)
    if (length(kinds) == 1 || all(kinds %in% c("integer", "numeric"))) do.call(c, items) else items
  }

  given <- function(payload) {
    text <- rawToChar(jsonlite::base64_dec(payload))
    Encoding(text) <- "UTF-8"
    decoded(jsonlite::fromJSON(text, simplifyVector = FALSE)[[1]])
  }

  # ------------------------------------------------------------- values returned

  # texts as JSON has them, all at once: one call for each would take minutes for a table
  quoted <- function(x, where = "") {
    x <- as.character(x)
    # before enc2utf8, which would write `<ff>` for what it cannot read
    if (!all(validUTF8(x) | Encoding(x) == "latin1")) refused("text that is no UTF-8", where, "Convert it with iconv")
    x <- enc2utf8(x)
    x <- gsub("\\", "\\\\", x, fixed = TRUE)
    x <- gsub("\"", "\\\"", x, fixed = TRUE)
    for (code in if (any(grepl("[[:cntrl:]]", x))) c(1:31, 127)) {
      x <- gsub(intToUtf8(code), sprintf("\\u%04x", code), x, fixed = TRUE)
    }
    paste0("\"", x, "\"")
  }
  tagged <- function(tag, values) paste0('{"$":"', tag, '","text":', values, "}")
  refused <- function(kind, where, hint) {
    problem <- list(where = where, kind = kind, hint = hint)
    stop(structure(class = c("restified_refused", "error", "condition"), list(message = kind, problem = problem, call = NULL)))
  }

  # each item as JSON: a vector of texts
  items <- function(x, where) {
    if (inherits(x, "Date")) {
      made <- quoted(format(x, "%Y-%m-%d"))
      return(ifelse(is.na(x), "null", tagged("date", made)))
    }
    if (inherits(x, "POSIXt")) {
      # half a microsecond more, since format cuts
      made <- quoted(format(as.POSIXct(x) + 5e-7, "%Y-%m-%dT%H:%M:%OS6", tz = "UTC"))
      return(ifelse(is.na(x), "null", paste0('{"$":"datetime","text":', made, ',"zone":{"$":"timezone","seconds":0,"name":"UTC"},"fold":0}')))
    }
    if (is.factor(x)) x <- as.character(x)
    if (inherits(x, "difftime")) x <- as.numeric(x, units = "secs")
    if (is.logical(x)) return(ifelse(is.na(x), "null", ifelse(x, "true", "false")))
    if (is.integer(x)) return(ifelse(is.na(x), "null", as.character(x)))
    if (is.double(x)) {
      made <- sprintf("%.17g", x)
      made[is.finite(x) & x == 0 & 1 / x < 0] <- tagged("float", '"-0.0"')
      odd <- !is.finite(x)
      if (any(odd)) {
        made[odd] <- ifelse(is.nan(x[odd]), tagged("float", '"nan"'),
          ifelse(is.na(x[odd]), "null", ifelse(x[odd] > 0, tagged("float", '"inf"'), tagged("float", '"-inf"'))))
      }
      return(made)
    }
    if (is.character(x)) return(ifelse(is.na(x), "null", quoted(x, where)))
    if (is.complex(x)) return(paste0('{"$":"complex","real":"', sprintf("%.17g", Re(x)), '","imag":"', sprintf("%.17g", Im(x)), '"}'))
    refused(class(x)[1], where, "Return plain data instead, for instance a list or a data.frame")
  }

  joined <- function(parts) paste0("[", paste(parts, collapse = ","), "]")
  object <- function(names, parts) {
    keys <- quoted(names)
    paste0("{", paste(paste0(keys, ":", parts), collapse = ","), "}")
  }
  fields <- function(names, parts, where) {
    if (anyDuplicated(names)) refused("list with a name that occurs twice", where, "Give each its own name")
    if ("$" %in% names) {
      pairs <- as.vector(rbind(quoted(names), parts))
      return(paste0('{"$":"dict","pairs":', joined(pairs), "}"))
    }
    object(names, parts)
  }

  picture <- function(draw, where) {
    file <- tempfile(fileext = ".png")
    on.exit(unlink(file))
    grDevices::png(file, width = 1000, height = 700, res = 120)
    tryCatch(draw(), finally = grDevices::dev.off())
    if (!file.exists(file)) refused("plot of nothing", where, "Draw it in the cell that returns it")
    paste0('{"$":"picture","format":"png","base64":"', base64(readBin(file, "raw", file.size(file))), '"}')
  }
  base64 <- function(bytes) gsub("\n", "", jsonlite::base64_enc(bytes), fixed = TRUE)

  table <- function(x, where) {
    columns <- lapply(seq_along(x), function(at) {
      column <- x[[at]]
      here <- paste0(where, "$", names(x)[at])
      if (!is.atomic(column) || !is.null(dim(column))) refused(class(column)[1], here, "Return a data.frame of plain columns")
      paste0('{"kind":', quoted(if (is.factor(column)) "factor" else class(column)[1]),
        if (is.factor(column)) paste0(',"levels":', joined(items(levels(column), here))) else "",
        ',"items":', joined(items(column, here)), "}")
    })
    own <- if (is.integer(attr(x, "row.names"))) "null" else joined(items(row.names(x), where))
    paste0('{"$":"table","names":', joined(items(names(x), where)), ',"columns":', joined(columns), ',"rows":', own, "}")
  }

  encoded <- function(x, where = "") {
    if (is.null(x)) return("null")
    if (inherits(x, "ggplot") || inherits(x, "trellis")) return(picture(function() print(x), where))
    if (inherits(x, "recordedplot")) return(picture(function() grDevices::replayPlot(x), where))
    if (is.data.frame(x)) return(table(as.data.frame(x), where))
    if (is.raw(x)) return(paste0('{"$":"bytes","base64":"', base64(x), '"}'))
    if (inherits(x, "POSIXlt")) x <- as.POSIXct(x)
    if (length(dim(x)) > 2) refused(paste("array of", length(dim(x)), "dimensions"), where, "Return a list of matrices")
    if (is.atomic(x) && length(dim(x)) == 2) {
      rows <- vapply(seq_len(nrow(x)), function(row) joined(items(x[row, ], where)), "")
      return(joined(rows))
    }
    if (is.atomic(x)) {
      parts <- items(x, where)
      if (!is.null(names(x))) return(fields(names(x), parts, where))
      return(if (length(parts) == 1) parts else joined(parts))
    }
    if (is.list(x) && !is.object(x) || is.list(x) && inherits(x, "AsIs")) {
      known <- names(x)
      parts <- vapply(seq_along(x), function(at) {
        here <- if (is.null(known)) paste0(where, "[[", at, "]]") else paste0(where, "$", known[at])
        encoded(x[[at]], here)
      }, "")
      return(if (is.null(known)) joined(parts) else if (length(x) == 0) "{}" else fields(known, parts, where))
    }
    hint <- if (is.function(x)) "Return what it gives, not the thing itself" else
      "Return plain data instead, for instance a list or a data.frame"
    refused(class(x)[1], where, hint)
  }

  options(restified_magics = list(
    given = given,
    # keeps the value of the `return` cell, and displays it only where outputs are wanted
    keep = function(value, shown) {
      made <- withVisible(value)
      state$value <- made$value
      if (shown && made$visible) made$value else invisible(made$value)
    },
    # sends it, by a file, since it may be large
    give = function(nonce, path) {
      body <- tryCatch(
        paste0('{"kind":"value","value":', encoded(state$value), "}"),
        restified_refused = function(error) {
          problem <- error$problem
          object(c("kind", "where", "type", "hint"), quoted(c("unencodable", problem$where, problem$kind, problem$hint)))
        }
      )
      writeLines(body, path, useBytes = TRUE)
      event <- list(nonce = jsonlite::unbox(nonce), file = jsonlite::unbox(path))
      IRdisplay::publish_mimebundle(list("application/vnd.restified-magics.event+json" = event))
      invisible()
    }
  ))
})
